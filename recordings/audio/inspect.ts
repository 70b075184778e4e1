import { fileTypeFromBuffer } from 'file-type'
import { UNKNOWN_FORMAT, type Finding } from './finding.ts'
import { ForwardFile } from './forward-file.ts'
import { FRAME_HEADER_BYTES, readFrame } from './mpeg-frame.ts'
import { gunzipStart, isBeginningOfAudio, isGzip, signatureOf, type Signature } from './signatures.ts'
import { id3v2BytesAt } from './tags.ts'
import { TextCheck } from './text.ts'
import { judge } from './verdict.ts'
import { walkAudio, type Walk } from './walk.ts'

const HEAD_BYTES = 4096
/** A file shorter than this may end within the header of a WAV or of a tag. */
const MIN_FILE_BYTES = 12

/**
 * Determines what a file is by its content alone; its name and Content-Type are ignored. Reads each byte at most once, in constant
 * memory.
 * @throws only if the file cannot be read from the disk
 */
export async function inspectAudio(path: string): Promise<Finding> {
  const file = await ForwardFile.open(path)
  try {
    return await inspectOpened(file)
  } catch (error) {
    if (isDiskError(error)) throw error
    // A bug in a parser. The bytes may be audio, so they are kept. Another download would fail in the same way.
    return { kind: 'damaged', audio: UNKNOWN_FORMAT, reason: 'The file cannot be read as audio' }
  } finally {
    await file.close()
  }
}

/** Checks for signatures of containers first, because some containers contain MP3 frames. */
export async function inspectOpened(file: ForwardFile): Promise<Finding> {
  if (file.size === 0) return { kind: 'none', reason: 'The file is empty' }
  const head = Buffer.from(await file.view(0, HEAD_BYTES))
  const signature = signatureOf(head) ?? (await signatureBehindTags(file, head))
  if (signature?.kind === 'container') return notAccepted(signature.audio)
  const walk = await walkAudio(file)
  if (walk.parts.length === 0) return judgeNoAudio(head, file.size, walk, signature)
  if (!signature) return judge(walk)
  return { kind: 'damaged', audio: UNKNOWN_FORMAT, reason: `The file is ${signature.what}, but it contains audio` }
}

/** Returns the signature after an ID3 tag. Some programs write ID3 tags before files of any kind. */
async function signatureBehindTags(file: ForwardFile, head: Buffer): Promise<Signature | undefined> {
  const tag = id3v2BytesAt(head, 0)
  if (tag === undefined || tag >= file.size) return undefined
  const start = head.subarray(tag, HEAD_BYTES)
  return start.length > 0 ? signatureOf(start) : undefined
}

function notAccepted(audio: { contentType: string; extension: string }): Finding {
  return { kind: 'damaged', audio, reason: `The format ${audio.contentType} is not accepted` }
}

async function judgeNoAudio(head: Buffer, bytes: number, { before }: Walk, signature: Signature | undefined): Promise<Finding> {
  const text = before?.bytes === bytes ? before.text : undefined
  if (bytes < MIN_FILE_BYTES && isBeginningOfAudio(head)) return incomplete('The file ends within its first bytes')
  if (signature?.kind === 'other') return { kind: 'none', reason: `The file is ${signature.what}, not audio` }
  const kind = text?.kind()
  if (kind) return { kind: 'none', reason: `The file is ${kind}, not audio` }
  if (isGzip(head)) return judgeGzip(head)
  return judgeBeginning(head, bytes, text) ?? (await judgeByType(head))
}

/** A gzip file may contain audio. It is certainly not audio if its content starts like something else. */
function judgeGzip(head: Buffer): Finding {
  const content = gunzipStart(head)
  const signature = signatureOf(content)
  const text = new TextCheck()
  text.add(content)
  const what = signature?.kind === 'other' ? signature.what : content.length > 0 ? text.kind() : undefined
  if (what) return { kind: 'none', reason: `The file is ${what}, compressed with gzip` }
  return { kind: 'damaged', audio: { contentType: 'application/gzip', extension: 'gz' }, reason: 'The file is compressed with gzip' }
}

function judgeBeginning(head: Buffer, bytes: number, text: TextCheck | undefined): Finding | undefined {
  const tag = id3v2BytesAt(head, 0)
  if (tag !== undefined && tag > bytes) return incomplete('The file ends within its ID3 tag')
  const start = tag ?? 0
  const frame = readFrame(head, start)
  if (frame && start + frame.bytes + FRAME_HEADER_BYTES > bytes) return incomplete('The file ends within its first MP3 frame')
  if (tag !== undefined) return unreadable('No audio was found after the ID3 tag')
  if (text?.holdsData()) return unreadable('The file is text that contains encoded data, which may be audio')
  const markup = text?.markup()
  return markup ? unreadable(`The file starts like ${markup}, but is not entirely text`) : undefined
}

async function judgeByType(head: Buffer): Promise<Finding> {
  const type = await fileTypeFromBuffer(head).catch(() => undefined)
  if (!type || /^(mp[123]|wav)$/.test(type.ext)) return unreadable('No audio was found in the file')
  return notAccepted({ contentType: type.mime, extension: type.ext })
}

function incomplete(reason: string): Finding {
  return { kind: 'incomplete', audio: UNKNOWN_FORMAT, reason }
}

function unreadable(reason: string): Finding {
  return { kind: 'damaged', audio: UNKNOWN_FORMAT, reason }
}

function isDiskError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error
}
