// Undoes the Content-Encoding of a body that lies in the spool. We ask for none, so this is rare.
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { Duplex, type Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createBrotliDecompress, createGunzip, createInflate, createInflateRaw } from 'node:zlib'
import { inspectAudio } from './audio/inspect.ts'
import type { WholeFile } from './growing-file.ts'

export type Decoded =
  | { kind: 'decoded'; whole: WholeFile }
  /** The label is wrong: the bytes are the recording, or another file, as they are. */
  | { kind: 'not encoded' }
  | { kind: 'broken'; reason: string }

type Decoder = () => Transform
/** Codings by their names [RFC 9110, 8.4.1]; many servers send deflate without the zlib format around it. */
const DECODERS: Record<string, Decoder[]> = {
  gzip: [createGunzip],
  'x-gzip': [createGunzip],
  deflate: [createInflate, createInflateRaw],
  br: [createBrotliDecompress],
}
/** Servers that compress twice exist; more are a mistake, and each `deflate` doubles the ways to try. */
const MAX_CODINGS = 3
/** Of zlib and Brotli, as Node reports data that they cannot read. */
const ENCODING_ERROR = /^(Z_(DATA|BUF|NEED)|ERR__|ERR_BROTLI)/

/**
 * Replaces the file by what it decodes to; leaves it as it is where it does not decode.
 * @param admit is asked before bytes are written, and throws where there is no room for them
 */
export async function decodeFile(
  path: string,
  encoding: string,
  { signal, admit }: { signal: AbortSignal; admit: (bytes: number) => Promise<void> },
): Promise<Decoded> {
  let reason: string | undefined
  for (const decoders of decodersOf(encoding)) {
    try {
      return { kind: 'decoded', whole: await decodeInto(path, decoders, signal, admit) }
    } catch (error) {
      signal.throwIfAborted()
      if (!isEncodingError(error)) throw error
      reason ??= `The body does not decompress as ${encoding}: ${(error as Error).message}`
    }
  }
  if (reason === undefined) return { kind: 'not encoded' }
  const { kind } = await inspectAudio(path)
  return kind === 'good' || kind === 'none' ? { kind: 'not encoded' } : { kind: 'broken', reason }
}

/** Each way to undo all codings, the last one first; none where no coding is known. */
function decodersOf(encoding: string): Decoder[][] {
  const codings = encoding.split(',').map((coding) => DECODERS[coding.trim().toLowerCase()])
  const known = codings.filter((decoders) => decoders !== undefined).slice(0, MAX_CODINGS)
  if (known.length === 0) return []
  return known.reduce<Decoder[][]>((ways, decoders) => decoders.flatMap((decoder) => ways.map((way) => [decoder, ...way])), [[]])
}

async function decodeInto(
  path: string,
  decoders: Decoder[],
  signal: AbortSignal,
  admit: (bytes: number) => Promise<void>,
): Promise<WholeFile> {
  const decodedPath = `${path}.decoded`
  const sha256 = createHash('sha256')
  let bytes = 0
  async function* counted(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      bytes += chunk.length
      sha256.update(chunk)
      await admit(bytes)
      yield chunk
    }
  }
  try {
    const streams = [createReadStream(path), ...decoders.map((create) => create()), Duplex.from(counted)]
    await pipeline([...streams, createWriteStream(decodedPath, { flush: true })], { signal })
    await rename(decodedPath, path)
    return { bytes, sha256: sha256.digest('hex') }
  } catch (error) {
    await rm(decodedPath, { force: true })
    throw error
  }
}

function isEncodingError(error: unknown): boolean {
  return ENCODING_ERROR.test((error as NodeJS.ErrnoException | undefined)?.code ?? '')
}
