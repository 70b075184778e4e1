// The bytes of one answer go into the spool: hashed on the way, counted against what was announced, in flat memory.
import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib'
import type { RecordingBody } from '../exotel/recording-answer.ts'
import { digestFile } from './digests.ts'
import type { Spool } from './spool.ts'

/** The transfer was cut, stalled, too slow, or not as long as announced. */
export class TransferBroken extends Error {}
export class TooLarge extends Error {}

interface TransferControl {
  signal: AbortSignal
  maxBytes: number
  onProgress: (bytes: number) => void
}

/** A transfer may take this long and a second per MB besides. */
const BASE_DEADLINE_MS = 30_000
const MS_PER_MB = 1000
const MB = 1024 ** 2

/**
 * Writes the body behind what is spooled already (`answer.from` bytes), or anew, and notes the file as whole.
 * The caller drops the body afterwards, however it ended.
 * @throws {TransferBroken | TooLarge} or the disk's error; what has arrived stays for the next try
 */
export async function receiveInto(
  spool: Spool,
  file: string,
  answer: RecordingBody,
  control: TransferControl,
): Promise<{ bytes: number; sha256: string }> {
  const { validator, totalBytes, from } = answer
  const note = { ...(validator && { validator }), ...(totalBytes !== undefined && { totalBytes }) }
  const sha256 = createHash('sha256')
  const handle = await open(spool.path(file), from > 0 ? 'r+' : 'w')
  try {
    await spool.writeNote(file, note)
    if (from > 0) await hashBeginning(sha256, spool.path(file), from, control.signal)
    const bytes = await writeAll(handle, sha256, answer, control)
    if (totalBytes !== undefined && bytes !== totalBytes)
      throw new TransferBroken(`The transfer ended after ${bytes} of ${totalBytes} bytes`)
    await handle.datasync()
    const complete = { bytes, sha256: sha256.digest('hex') }
    await spool.writeNote(file, { ...note, complete })
    return complete
  } finally {
    await handle.close()
  }
}

/** Every byte has arrived, but whoever brought the last one died before noting it. */
export async function isWhole(spool: Spool, file: string): Promise<boolean> {
  const { totalBytes } = await spool.note(file)
  return totalBytes !== undefined && totalBytes === (await spool.bytesOf(file))
}

/** Notes a whole file as such. */
export async function completeFile(
  spool: Spool,
  file: string,
  signal: AbortSignal,
  onProgress: (bytes: number) => void,
): Promise<{ bytes: number; sha256: string }> {
  const { bytes, sha256 } = await digestFile(spool.path(file), signal, onProgress)
  await spool.writeNote(file, { ...(await spool.note(file)), complete: { bytes, sha256 } })
  return { bytes, sha256 }
}

async function hashBeginning(sha256: Hash, path: string, bytes: number, signal: AbortSignal): Promise<void> {
  for await (const chunk of createReadStream(path, { end: bytes - 1, signal }) as AsyncIterable<Buffer>) sha256.update(chunk)
}

async function writeAll(
  handle: FileHandle,
  sha256: Hash,
  answer: RecordingBody,
  { signal, maxBytes, onProgress }: TransferControl,
): Promise<number> {
  const began = performance.now()
  const deadlineMs = (bytes: number): number => BASE_DEADLINE_MS + (((answer.totalBytes ?? bytes) - answer.from) / MB) * MS_PER_MB
  let position = answer.from
  for await (const chunk of chunksOf(answer, signal)) {
    if (position + chunk.length > maxBytes) throw new TooLarge(`The recording is longer than the limit of ${maxBytes} bytes`)
    await writeWhole(handle, chunk, position)
    sha256.update(chunk)
    position += chunk.length
    onProgress(position)
    if (performance.now() - began > deadlineMs(position))
      throw new TransferBroken(`The transfer is too slow: ${position} bytes in ${Math.round((performance.now() - began) / 1000)} s`)
  }
  return position
}

/** A disk that is nearly full may take less than it was given, without an error. */
async function writeWhole(handle: FileHandle, chunk: Buffer, position: number): Promise<void> {
  for (let written = 0; written < chunk.length;) {
    const { bytesWritten } = await handle.write(chunk, written, chunk.length - written, position + written)
    written += bytesWritten
  }
}

/** Decoded where need be; the errors of the network and of broken encodings are a broken transfer. */
async function* chunksOf({ body, encoding }: RecordingBody, signal: AbortSignal): AsyncGenerator<Buffer> {
  const decoder =
    encoding === 'gzip'
      ? createGunzip()
      : encoding === 'br'
        ? createBrotliDecompress()
        : encoding === 'deflate'
          ? createInflate()
          : undefined
  const source: Readable = decoder ? body.on('error', (error: Error) => decoder.destroy(error)).pipe(decoder) : body
  const iterator = source[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  for (;;) {
    const next = await iterator.next().catch((error: unknown) => {
      signal.throwIfAborted()
      throw new TransferBroken(`The transfer was cut: ${error instanceof Error ? error.message : String(error)}`)
    })
    if (next.done) return
    yield next.value
  }
}
