// Writes the body of one response into the spool in constant memory, and compares its length with the announced length.
import type { RecordingBody } from '../exotel/recording-answer.ts'
import { decodeFile } from './decode.ts'
import type { UploadSizes } from './digests.ts'
import { GrowingFile, type Part } from './growing-file.ts'
import type { WholeFile } from './spool-note.ts'
import type { Spool } from './spool.ts'
import { timedChunks, TooSlow, type Pace } from './timed-chunks.ts'

/** The transfer was interrupted or too slow, has a wrong length, or cannot be decoded. */
export class TransferBroken extends Error {}
/** The body has more bytes than announced, so the file cannot be continued. */
class LongerThanAnnounced extends TransferBroken {}
export class TooLarge extends Error {}

interface TransferControl {
  signal: AbortSignal
  maxBytes: number
  /** The digests depend on how the file will be uploaded. */
  sizes: UploadSizes
  pace: Pace
  onProgress: (bytes: number) => void
}

/** A slower source would occupy a download slot for hours. */
export const RECORDING_PACE: Pace = { idleMs: 30_000, baseMs: 30_000, msPerMb: 1000 }
const MB = 1024 ** 2
/** If a worker is killed, it loses at most this much of a transfer. Smaller recordings need only one sync to the disk. */
const CHECKPOINT_BYTES = 16 * MB

/**
 * Appends the body to the part, or writes a new file if the body starts with the first byte, and records that the file is complete.
 * The caller discards the body afterwards in every case.
 * @throws {TransferBroken | TooLarge | SpoolFull} or the error of the disk; the bytes that have arrived stay for the next attempt
 */
export async function receiveInto(
  spool: Spool,
  file: string,
  answer: RecordingBody,
  part: Part | undefined,
  control: TransferControl,
): Promise<WholeFile> {
  const { validator, totalBytes, from } = answer
  const isContinued = part !== undefined && from === part.from
  if (!isContinued) await spool.setAside(file) // before the reservation, so that the kept file counts
  const reservedBytes = await reserve(spool, file, answer, control.maxBytes)
  const source = { ...(validator && { validator }), ...(totalBytes !== undefined && { totalBytes }) }
  const growing = isContinued
    ? await GrowingFile.reopen(spool, file, part, source)
    : await GrowingFile.create(spool, file, source, control.sizes)
  const reserveMore = (bytes: number): Promise<number> => spool.reserveNextStep(file, bytes)
  try {
    await writeAll(growing, answer, control, { reservedBytes, reserveMore })
    if (totalBytes !== undefined && growing.bytes !== totalBytes)
      throw new TransferBroken(`The transfer ended after ${growing.bytes} of ${totalBytes} bytes`)
    return (await decoded(spool, file, answer, growing.bytes, control)) ?? (await growing.complete())
  } catch (error) {
    if (error instanceof LongerThanAnnounced) await spool.writeNote(file, { broken: { reason: error.message } })
    else await keep(growing, answer, error).catch(() => {}) // the original error is thrown instead
    throw error
  } finally {
    await growing.close()
  }
}

/** Records what has arrived, for the next attempt, or as evidence if no attempt succeeds. */
async function keep(growing: GrowingFile, { encoding }: RecordingBody, error: unknown): Promise<void> {
  if (!(error instanceof TransferBroken)) return growing.checkpoint()
  await growing.breakOff({ reason: error.message, ...(encoding !== undefined && { isEncoded: true }) })
}

/** Records that a part with all bytes is a complete file. */
export async function completePart(spool: Spool, file: string, part: Part): Promise<WholeFile> {
  const growing = await GrowingFile.reopen(spool, file, part, { validator: part.validator, totalBytes: part.from })
  try {
    return await growing.complete()
  } finally {
    await growing.close()
  }
}

/** @returns the size to which the file may grow before it needs another reservation */
async function reserve(spool: Spool, file: string, { totalBytes }: RecordingBody, maxBytes: number): Promise<number> {
  if (totalBytes === undefined) return spool.reserveNextStep(file, 0)
  // A wrong header looks the same, so only bytes that arrive show that a recording is too large.
  if (totalBytes > maxBytes) throw new TransferBroken(`Exotel announced ${totalBytes} bytes, more than the limit of ${maxBytes}`)
  await spool.reserve(file, totalBytes)
  return totalBytes
}

async function writeAll(
  growing: GrowingFile,
  answer: RecordingBody,
  { signal, maxBytes, pace, onProgress }: TransferControl,
  { reservedBytes, reserveMore }: { reservedBytes: number; reserveMore: (bytes: number) => Promise<number> },
): Promise<void> {
  const { totalBytes } = answer
  for await (const chunk of chunksOf(answer, pace, signal)) {
    const bytes = growing.bytes + chunk.length
    if (bytes > maxBytes) throw new TooLarge(`The recording is longer than the limit of ${maxBytes} bytes`)
    if (totalBytes !== undefined && bytes > totalBytes)
      throw new LongerThanAnnounced(`The transfer is longer than the announced ${totalBytes} bytes`)
    if (bytes > reservedBytes) reservedBytes = await reserveMore(bytes)
    await growing.append(chunk)
    onProgress(bytes)
    if (growing.unsyncedBytes >= CHECKPOINT_BYTES) await growing.checkpoint()
  }
}

/** Converts errors of the network and of the chunked encoding to {@link TransferBroken}. */
async function* chunksOf({ body }: RecordingBody, pace: Pace, signal: AbortSignal): AsyncGenerator<Buffer> {
  try {
    yield* timedChunks(body, pace)
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof TooSlow) throw new TransferBroken(`The transfer is ${error.message}`)
    const message = error instanceof Error ? error.message : String(error)
    if (isViolation(error)) throw new TransferBroken(`The body violates the chunked encoding: ${message}`)
    throw new TransferBroken(`The transfer was cut: ${message}`)
  }
}

/** An error of Node's HTTP parser. */
function isViolation(error: unknown): boolean {
  return (error as NodeJS.ErrnoException | undefined)?.code?.startsWith('HPE_') ?? false
}

/** Decodes the file. Returns undefined if the file is the recording without decoding. */
async function decoded(
  spool: Spool,
  file: string,
  { encoding }: RecordingBody,
  rawBytes: number,
  { signal, maxBytes, sizes }: TransferControl,
): Promise<WholeFile | undefined> {
  if (encoding === undefined || rawBytes === 0) return undefined
  let reservedBytes = 0
  const reserve = async (bytes: number): Promise<void> => {
    if (bytes > maxBytes) throw new TooLarge(`The recording is longer than the limit of ${maxBytes} bytes`)
    if (rawBytes + bytes > reservedBytes) reservedBytes = await spool.reserveNextStep(file, rawBytes + bytes)
  }
  const result = await decodeFile(spool.path(file), encoding, { signal, sizes, reserve })
  if (result.kind === 'broken') throw new TransferBroken(result.reason)
  if (result.kind === 'not encoded') return undefined
  await spool.writeNote(file, { complete: result.whole })
  return result.whole
}
