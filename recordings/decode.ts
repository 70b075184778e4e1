// Decodes the Content-Encoding of a body in the spool. Our requests do not accept an encoding, so this is rare.
import { createReadStream, createWriteStream } from 'node:fs'
import { open, rename, rm, stat } from 'node:fs/promises'
import { Duplex, type Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createBrotliDecompress, createGunzip, createInflate, createInflateRaw, type Zlib } from 'node:zlib'
import { UNKNOWN_FORMAT } from './audio/finding.ts'
import { inspectAudio } from './audio/inspect.ts'
import { isGzip } from './audio/signatures.ts'
import { FileDigest, type UploadSizes } from './digests.ts'
import type { WholeFile } from './spool-note.ts'

export type Decoded =
  | { kind: 'decoded'; whole: WholeFile }
  /** The Content-Encoding is wrong: the bytes are the recording, or another file, without an encoding. */
  | { kind: 'not encoded' }
  | { kind: 'broken'; reason: string }

interface Control {
  signal: AbortSignal
  sizes: UploadSizes
  /** Called before bytes are written, with the total so far. Throws if there is no space for them. */
  reserve: (bytes: number) => Promise<void>
}

interface Decoder {
  create: () => Transform & Zlib
  /**
   * Whether data starts with the signature of this format. A format without a signature has no checksum either: other data may by
   * chance start with a short valid stream.
   */
  hasSignature?: (start: Buffer) => boolean
  /**
   * This decoder rejects data of other formats early. So if its only error is an unexpected end, the data has this format and is truncated.
   */
  rejectsOtherData?: true
}

const GZIP: Decoder = { create: createGunzip, hasSignature: isGzip }
/** The method is deflate, and the first two bytes are a multiple of 31 [RFC 1950, 2.2]. */
const ZLIB: Decoder = { create: createInflate, hasSignature: (start) => (start[0]! & 0x8f) === 8 && start.readUInt16BE(0) % 31 === 0 }
const RAW_DEFLATE: Decoder = { create: createInflateRaw, rejectsOtherData: true }
const BROTLI: Decoder = { create: createBrotliDecompress }
/** Decoders by the name of the content coding [RFC 9110, 8.4.1]. Many servers send raw deflate data without the zlib format. */
const CODINGS: Record<string, Decoder[]> = { gzip: [GZIP], 'x-gzip': [GZIP], deflate: [ZLIB, RAW_DEFLATE], br: [BROTLI] }
/** Some servers compress twice. More codings than this are a mistake. */
const MAX_CODINGS = 3
const SIGNATURE_BYTES = 3
const UNEXPECTED_END = 'Z_BUF_ERROR'
/** The error codes of zlib and Brotli in Node for data that they cannot decode. */
const ENCODING_ERROR = /^(Z_(DATA|BUF|NEED)|ERR__|ERR_BROTLI)/

/** The data does not have the encoding that its Content-Encoding names, or is damaged. */
class NotDecodable extends Error {
  /** The data ends before the decoder reached the end of the stream. */
  readonly isCut: boolean

  constructor(message: string, isCut: boolean) {
    super(message)
    this.isCut = isCut
  }
}

/** Replaces the file with its decoded content. The file stays unchanged if it cannot be decoded, or if it is audio without decoding. */
export async function decodeFile(path: string, encoding: string, control: Control): Promise<Decoded> {
  const codings = codingsOf(encoding)
  if (codings.length === 0) return { kind: 'not encoded' }
  try {
    const { decodedPath, ...whole } = await undoAll(path, codings, control)
    if (await isAudioWithoutDecoding(path, decodedPath)) return { kind: 'not encoded' }
    await rename(decodedPath, path)
    return { kind: 'decoded', whole }
  } catch (error) {
    if (!(error instanceof NotDecodable)) throw error
    const reason = `The body does not decompress as ${encoding}: ${error.message}`
    return error.isCut || (await isEncoded(path, codings[0]!)) ? { kind: 'broken', reason } : { kind: 'not encoded' }
  } finally {
    for (const leftover of [decodedPathOf(path), decodingPathOf(path)]) await rm(leftover, { force: true })
  }
}

/** The paths of the decoded content and of the content that is still being decoded. Both are in the folder of the file. */
export const decodedPathOf = (path: string): string => `${path}.decoded`
export const decodingPathOf = (path: string): string => `${path}.decoding`

/** The known codings in the order in which they are decoded: the last one that was applied is first. */
function codingsOf(encoding: string): Decoder[][] {
  const names = encoding.split(',').map((name) => name.trim().toLowerCase())
  return names
    .flatMap((name) => (Object.hasOwn(CODINGS, name) ? [CODINGS[name]!] : []))
    .slice(0, MAX_CODINGS)
    .toReversed()
}

/**
 * True if the file is audio and its decoded content is not. Audio may by chance decode as a format without a signature. The
 * reverse also happens: compressed data in stored blocks contains audio frames, so the file and its decoded content are both audio.
 */
async function isAudioWithoutDecoding(path: string, decodedPath: string): Promise<boolean> {
  return (await inspectAudio(path)).kind === 'good' && (await inspectAudio(decodedPath)).kind !== 'good'
}

/** For data that cannot be decoded: true if it is damaged encoded data, false if the Content-Encoding is wrong. */
async function isEncoded(path: string, decoders: Decoder[]): Promise<boolean> {
  const start = await startOf(path)
  if (decoders.some(({ hasSignature }) => hasSignature?.(start))) return true
  const finding = await inspectAudio(path)
  return finding.kind === 'damaged' && finding.audio.extension === UNKNOWN_FORMAT.extension
}

/** @throws {NotDecodable} */
async function undoAll(path: string, codings: Decoder[][], control: Control): Promise<WholeFile & { decodedPath: string }> {
  const decodedPath = decodedPathOf(path)
  let written = 0
  let whole: WholeFile | undefined
  for (const decoders of codings) {
    const reserve = (bytes: number): Promise<void> => control.reserve(written + bytes)
    whole = await undo(whole ? decodedPath : path, decodingPathOf(path), decoders, { ...control, reserve })
    written += whole.bytes
    await rename(decodingPathOf(path), decodedPath)
  }
  return { ...whole!, decodedPath }
}

/** Uses the first decoder that can read the data. */
async function undo(from: string, to: string, decoders: Decoder[], control: Control): Promise<WholeFile> {
  const start = await startOf(from)
  const { size } = await stat(from)
  let message = 'it does not start with the signature of this encoding'
  let isCut = false
  for (const { create, hasSignature, rejectsOtherData } of decoders) {
    if (hasSignature && !hasSignature(start)) continue
    try {
      const { usedBytes, ...whole } = await decodeInto(from, to, create(), control)
      if (hasSignature || (whole.bytes > 0 && usedBytes === size)) return whole
      message = `it ends after ${usedBytes} of ${size} bytes`
    } catch (error) {
      control.signal.throwIfAborted()
      if (!isEncodingError(error)) throw error
      message = (error as Error).message
      isCut ||= rejectsOtherData === true && (error as NodeJS.ErrnoException).code === UNEXPECTED_END
    }
  }
  throw new NotDecodable(message, isCut)
}

async function decodeInto(
  from: string,
  to: string,
  decoder: Transform & Zlib,
  { signal, sizes, reserve }: Control,
): Promise<WholeFile & { usedBytes: number }> {
  const digest = new FileDigest(sizes, undefined)
  async function* counted(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      digest.update(chunk)
      await reserve(digest.bytes)
      yield chunk
    }
  }
  await pipeline([createReadStream(from), decoder, Duplex.from(counted), createWriteStream(to, { flush: true })], { signal })
  return { ...digest.digest(), usedBytes: decoder.bytesWritten }
}

async function startOf(path: string): Promise<Buffer> {
  const handle = await open(path)
  try {
    const { buffer } = await handle.read(Buffer.alloc(SIGNATURE_BYTES), 0, SIGNATURE_BYTES, 0)
    return buffer
  } finally {
    await handle.close()
  }
}

function isEncodingError(error: unknown): boolean {
  return ENCODING_ERROR.test((error as NodeJS.ErrnoException | undefined)?.code ?? '')
}
