import { fileTypeFromFile } from 'file-type'
import { FileWindow } from './file-window.ts'
import type { Finding } from './finding.ts'
import { inspectMp3 } from './mp3.ts'
import { inspectWav } from './wav.ts'

const SNIFF_BYTES = 512

/**
 * Judges a file by its content alone, whatever its name or Content-Type said. Reads all of it once, in flat memory.
 * @throws only where the file cannot be read from the disk
 */
export async function inspectAudio(path: string): Promise<Finding> {
  const file = await FileWindow.open(path)
  try {
    return await inspectOpened(file, path)
  } catch (error) {
    if (isDiskError(error)) throw error
    // A parser's mistake: the bytes may be audio, so they are kept, and a repetition would fail in the same way.
    const audio = { contentType: 'application/octet-stream', extension: 'bin' }
    return { kind: 'damaged', audio, reason: 'The file cannot be read as audio' }
  } finally {
    await file.close()
  }
}

async function inspectOpened(file: FileWindow, path: string): Promise<Finding> {
  if (file.size === 0) return { kind: 'none', reason: 'The file is empty' }
  const text = textKind(await file.bytes(0, SNIFF_BYTES))
  if (text) return { kind: 'none', reason: `The file is ${text}, not audio` }
  return (
    (await inspectWav(file)) ??
    (await inspectMp3(file)) ??
    (await otherFormat(path)) ?? { kind: 'none', reason: 'The file has no audio frames' }
  )
}

function isDiskError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error
}

function textKind(head: Buffer): string | undefined {
  const start = head
    .toString('utf8')
    .replace(/^\uFEFF/, '')
    .trimStart()
    .toLowerCase()
  if (/^(<!doctype html|<html|<head|<body)/.test(start)) return 'an HTML page'
  if (/^<(\?xml|[a-z!])/.test(start)) return 'an XML document'
  return /^[{[]\s*["{[\]}]/.test(start) ? 'a JSON document' : undefined
}

/** Real audio that we do not take is kept as evidence; anything else known (a picture, an archive) is no recording. */
async function otherFormat(path: string): Promise<Finding | undefined> {
  const type = await fileTypeFromFile(path).catch(() => undefined)
  if (!type || type.ext === 'mp3' || type.ext === 'wav') return undefined
  if (!/^(audio|video)\/|^application\/ogg/.test(type.mime)) return { kind: 'none', reason: `The file is ${type.mime}, not audio` }
  return { kind: 'damaged', audio: { contentType: type.mime, extension: type.ext }, reason: `The format ${type.mime} is not accepted` }
}
