// Reads a WAV by its chunks. Sizes in headers may be wrong, so the duration is computed from the existing bytes. If there are several
// `data` chunks, players (ffmpeg 5 and 9, SoX) play only the first one.
import type { ForwardBytes } from './forward-file.ts'
import { endsWithMessage } from './message.ts'
import { describeWav, FORMAT_BYTES, readWavFormat, type WavDescription, type WavFormat } from './wav-format.ts'

export interface WavPart {
  kind: 'wav'
  end: number
  format?: WavFormat
  frames: number
  /** Why the WAV cannot be read, although no bytes are missing. */
  unreadable?: string
  /** Why the audio is incomplete. */
  missing?: string
  remarks: string[]
}

/** Where the audio of a WAV is. */
interface WavAudio {
  start: number
  bytes: number
  /** Absent if no complete description precedes the audio. */
  description?: WavDescription
}

const RIFF_HEADER_BYTES = 12
const CHUNK_HEADER_BYTES = 8
const MAX_REMARKS = 5
const GIGABYTE = 1e9
/** If a file has less than this share of the claimed gigabytes, the claimed size is a placeholder, and the file is not truncated. */
const PLACEHOLDER_SHARE = 0.1
/** Sizes that writers use if they do not know the real size: 2^31 or 2^32, minus the size of the header. */
const PLACEHOLDERS: [from: number, to: number][] = [
  [0x7fff0000, 0x80000100],
  [0xffff0000, 0xffffffff],
]
/** A chunk name that is the start of another format. */
const NOT_A_CHUNK = /^(RIFF|RF64|BW64|ID3.|TAG.|APET)/s
const CHUNK_NAME = /^[A-Za-z][A-Za-z0-9]{2}[A-Za-z0-9 ]$/
/** The name of a chunk may cross the end of a view. */
const OVERLAP_BYTES = 3
const TAIL_BYTES = 64 * 1024

/** True if a RIFF, RF64 or BW64 of type WAVE starts at `at`. */
export function isWave(view: Buffer, at: number): boolean {
  return view.toString('latin1', at + 8, at + 12) === 'WAVE' && /^(RIFF|RF64|BW64)$/.test(view.toString('latin1', at, at + 4))
}

/**
 * True if the bytes start with a name of four characters and a size below 16 MB. Text is not mistaken for a
 * chunk: four letters read as a size are more than 16 MB.
 */
export function startsLikeChunk(bytes: Buffer): boolean {
  return CHUNK_NAME.test(bytes.toString('latin1', 0, 4)) && bytes[7] === 0
}

export async function readWav(file: ForwardBytes, start: number): Promise<WavPart> {
  const part = newReading(start)
  for (let next: number | undefined = part.end; next !== undefined;) {
    part.end = next
    next = await readChunk(file, part, readData)
  }
  return conclude(part)
}

/** Finds the audio of a WAV that starts at `start`, without reading it. Undefined if the WAV has none. */
export async function findWavAudio(file: ForwardBytes, start: number): Promise<WavAudio | undefined> {
  const part = newReading(start)
  for (let next: number | undefined = part.end; next !== undefined;) {
    part.end = next
    next = await readChunk(file, part, findData)
  }
  const { audioStart, audioBytes, description } = part
  return audioStart === undefined ? undefined : { start: audioStart, bytes: audioBytes, ...(description && { description }) }
}

function newReading(start: number): Reading {
  return { kind: 'wav', end: start + RIFF_HEADER_BYTES, frames: 0, remarks: [], dataChunks: 0, audioBytes: 0 }
}

interface Reading extends WavPart {
  /** From a `ds64` chunk. */
  size64?: number
  /** From a `fact` chunk. */
  promisedFrames?: number
  description?: WavDescription | undefined
  dataChunks: number
  /** Only if the audio is searched and not read. */
  audioStart?: number
  audioBytes: number
}

/** Handles a `data` chunk. @returns the offset at which the next chunk starts; undefined if the search ends here */
type OnData = (file: ForwardBytes, part: Reading, start: number, claimed: number) => Promise<number | undefined>

/** @returns the offset at which the next chunk starts; undefined after the last chunk */
async function readChunk(file: ForwardBytes, part: Reading, onData: OnData): Promise<number | undefined> {
  const header = await file.view(part.end, CHUNK_HEADER_BYTES)
  if (header.length < CHUNK_HEADER_BYTES) return undefined
  const name = header.toString('latin1', 0, 4)
  const claimed = header.readUInt32LE(4)
  const start = part.end + CHUNK_HEADER_BYTES
  if (name === 'data') return onData(file, part, start, claimed)
  const isChunk = /^[ -~]{4}$/.test(name) && !NOT_A_CHUNK.test(name)
  if (!isChunk || start + claimed > file.size) return passJunk(file, part, name, isChunk)
  if (name === 'fmt ') readFormat(part, await file.view(start, Math.min(claimed, FORMAT_BYTES)))
  if (name === 'ds64' && claimed >= 16) part.size64 = Number((await file.view(start, 16)).readBigUInt64LE(8))
  if (name === 'fact' && claimed >= 4) part.promisedFrames = (await file.view(start, 4)).readUInt32LE(0)
  return afterChunk(file, start + claimed)
}

/** The first description counts. */
function readFormat(part: Reading, bytes: Buffer): void {
  part.format ??= readWavFormat(bytes)
  part.description ??= describeWav(bytes)
}

/** Skips empty `data` chunks. */
async function findData(file: ForwardBytes, part: Reading, start: number, claimed: number): Promise<number | undefined> {
  part.dataChunks += 1
  const bytes = Math.min(await sizeOfData(file, part, start, claimed), file.size - start)
  if (bytes === 0) return afterChunk(file, start)
  part.audioStart = start
  part.audioBytes = bytes
  return undefined
}

async function readData(file: ForwardBytes, part: Reading, start: number, claimed: number): Promise<number | undefined> {
  part.dataChunks += 1
  const available = file.size - start
  const size = await sizeOfData(file, part, start, claimed)
  const bytes = Math.min(size, available)
  if (part.audioBytes === 0) part.audioBytes = bytes
  else if (bytes > 0 && part.remarks.length < MAX_REMARKS) part.remarks.push(`Players skip another ${bytes} bytes of audio in the WAV`)
  if (size > available) part.missing = `The WAV is cut off: ${size - available} of ${size} bytes of audio are missing`
  else if (await endsWithText(file, start, start + bytes)) part.missing = 'The WAV ends with a text message instead of audio'
  if (size <= available && (size < available || size === claimed)) return afterChunk(file, start + size)
  part.end = file.size
  return undefined
}

/** Returns the size of the audio: the claimed size, the size in the `ds64` chunk, or all existing bytes. */
async function sizeOfData(file: ForwardBytes, part: Reading, start: number, claimed: number): Promise<number> {
  const available = file.size - start
  if (claimed === 0xffffffff && part.size64 !== undefined && part.size64 > 0 && !isPlaceholder(part.size64, available)) return part.size64
  if (claimed === 0) return (await looksLikeChunk(file, start)) ? 0 : available
  if (!isPlaceholder(claimed, available)) return claimed
  if (available > 0 && claimed < 0xffff0000 && !isStreamed(claimed))
    part.remarks.push(`The WAV claims ${claimed} bytes of audio and has ${available}`)
  return available
}

function isPlaceholder(claimed: number, available: number): boolean {
  if (claimed <= available) return false
  return isStreamed(claimed) || (claimed >= GIGABYTE && available < claimed * PLACEHOLDER_SHARE)
}

function isStreamed(claimed: number): boolean {
  return PLACEHOLDERS.some(([from, to]) => claimed >= from && claimed <= to)
}

/** Before the audio, skips bytes that are not a valid chunk, up to the next `fmt ` or `data` chunk. After the audio, the WAV ends. */
async function passJunk(file: ForwardBytes, part: Reading, name: string, isChunk: boolean): Promise<number | undefined> {
  if (part.dataChunks > 0) {
    if (isChunk) part.remarks.push(`The chunk "${name.trim()}" of the WAV does not fit the file`)
    return undefined
  }
  const next = await findChunk(file, part.end + 1, part.format !== undefined)
  if (next === undefined) part.end = file.size // all of it was searched
  if (next === undefined && !isChunk) part.unreadable = 'The WAV has invalid chunks and no audio chunk'
  if (next !== undefined && part.remarks.length < MAX_REMARKS)
    part.remarks.push(`${next - part.end} bytes before the audio of the WAV are not a valid chunk`)
  return next
}

/** Finds the next `data` chunk, or the next `fmt ` chunk if the format is unknown. */
async function findChunk(file: ForwardBytes, from: number, hasFormat: boolean): Promise<number | undefined> {
  for (let offset = from; offset < file.size;) {
    const view = await file.view(offset)
    const format = hasFormat ? -1 : view.indexOf('fmt ', 0, 'latin1')
    const data = (format === -1 ? view : view.subarray(0, format)).indexOf('data', 0, 'latin1')
    if (data !== -1) return offset + data
    if (format !== -1) return offset + format
    if (offset + view.length >= file.size) return undefined
    offset += view.length - OVERLAP_BYTES
  }
  return undefined
}

/** Chunks of odd size are padded with one byte, but some writers do not add it. */
async function afterChunk(file: ForwardBytes, end: number): Promise<number> {
  if (end % 2 === 0 || end >= file.size || (await looksLikeChunk(file, end))) return end
  return end + 1
}

async function looksLikeChunk(file: ForwardBytes, offset: number): Promise<boolean> {
  const header = await file.view(offset, CHUNK_HEADER_BYTES)
  if (header.length < CHUNK_HEADER_BYTES || !CHUNK_NAME.test(header.toString('latin1', 0, 4))) return false
  return offset + CHUNK_HEADER_BYTES + header.readUInt32LE(4) <= file.size + 1
}

async function endsWithText(file: ForwardBytes, start: number, end: number): Promise<boolean> {
  const tail = Math.max(start, end - TAIL_BYTES)
  return endsWithMessage(await file.view(tail, end - tail))
}

function conclude({ size64: _size64, description: _description, promisedFrames, dataChunks, audioBytes, ...part }: Reading): WavPart {
  if (part.unreadable) return part
  if (dataChunks === 0) return { ...part, missing: 'The WAV ends before its audio' }
  if (part.format?.kind !== 'accepted') return part
  const { codec, frameBytes } = part.format
  const frames = Math.floor(audioBytes / frameBytes)
  if (audioBytes % frameBytes !== 0) part.remarks.push('The last sample of the WAV is incomplete')
  const whole = { ...part, frames }
  if (frames === 0) return { ...whole, missing: part.missing ?? 'The WAV has a header but no audio' }
  const isPromise = !codec.startsWith('pcm') && promisedFrames !== undefined && promisedFrames < GIGABYTE
  if (!part.missing && isPromise && promisedFrames > frames + 1) {
    return { ...whole, missing: `The WAV is cut off: it announces ${promisedFrames} samples and has ${frames}` }
  }
  return whole
}
