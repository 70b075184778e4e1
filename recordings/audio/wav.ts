// Reads a WAV by its chunks. Rates and sizes in its header are claims: durations come from the bytes that are there.
import type { AudioFacts } from '../../workflows/contracts/recording.ts'
import type { FileWindow } from './file-window.ts'
import type { Finding } from './finding.ts'

interface Chunk {
  id: string
  /** Of the content, behind id and size. */
  start: number
  /** As announced. */
  size: number
}

const RIFF_HEADER_BYTES = 12
const CHUNK_HEADER_BYTES = 8
const MAX_CHUNKS = 10_000
/** What writers to a pipe put where they cannot know the size. */
const STREAMED_SIZES = new Set([0, 0xffffffff, 0x7fffffff, 0x7ffff000, 0xfffff000])
/** Chunks that describe the audio, and a `data` chunk that is empty. */
const NO_AUDIO = new Set(['fmt ', 'fact', 'ds64', 'data', 'LIST', 'bext', 'JUNK', 'PAD ', 'FLLR', 'cue ', 'smpl', 'id3 ', 'ID3 ', 'PEAK'])
const EXTENSIBLE = 0xfffe
const CODECS: Record<number, { codec: string; bits: number[] }> = {
  1: { codec: 'pcm', bits: [8, 16, 24] },
  6: { codec: 'alaw', bits: [8] },
  7: { codec: 'ulaw', bits: [8] },
}

/** Undefined where the file is no RIFF, RF64 or BW64 of type WAVE. */
export async function inspectWav(file: FileWindow): Promise<Finding | undefined> {
  const head = await file.bytes(0, 12)
  if (!/^(RIFF|RF64|BW64)/.test(head.toString('latin1', 0, 4)) || head.toString('latin1', 8, 12) !== 'WAVE') return undefined
  const chunks = await readChunks(file)
  const data = chunks.find(({ id }) => id === 'data')
  const available = data ? Math.min(data.size, file.size - data.start) : 0
  const audio: AudioFacts = { contentType: 'audio/wav', extension: 'wav' }
  if (!data || available <= 0) {
    if (isExplained(file, chunks)) return { kind: 'none', reason: 'The WAV has a header but no audio' }
    return { kind: 'damaged', audio, reason: 'The WAV cannot be read to its end, so its audio cannot be found' }
  }

  const format = await readFormat(file, chunks)
  if ('trouble' in format) return { kind: 'damaged', audio, reason: format.trouble }
  const { codec, channels, sampleRate, bits } = format
  const frameBytes = (channels * bits) / 8
  const frames = Math.floor(available / frameBytes)
  Object.assign(audio, {
    codec: bits === 8 || codec !== 'pcm' ? codec : `${codec}${bits}`,
    channels,
    sampleRate,
    durationSeconds: frames / sampleRate,
  })
  if (frames === 0) return { kind: 'none', reason: 'The WAV has a header but no audio' }

  const missing = data.size - available
  if (missing > 0) return { kind: 'damaged', audio, reason: `The WAV is cut off: ${missing} of ${data.size} bytes of audio are missing` }
  const promised = await promisedFrames(file, chunks)
  if (codec !== 'pcm' && promised !== undefined && promised !== 0xffffffff && promised > frames + 1) {
    return { kind: 'damaged', audio, reason: `The WAV is cut off: it announces ${promised} samples and has ${frames}` }
  }
  return available % frameBytes === 0
    ? { kind: 'good', audio }
    : { kind: 'good', audio, remark: 'The last sample of the WAV is incomplete' }
}

/** All chunks in their order, sizes of streamed and of 64-bit files put right. */
async function readChunks(file: FileWindow): Promise<Chunk[]> {
  const chunks: Chunk[] = []
  let size64: number | undefined
  let offset = RIFF_HEADER_BYTES
  while (offset + CHUNK_HEADER_BYTES <= file.size && chunks.length < MAX_CHUNKS) {
    const header = await file.bytes(offset, CHUNK_HEADER_BYTES)
    const chunk = { id: header.toString('latin1', 0, 4), start: offset + CHUNK_HEADER_BYTES, size: header.readUInt32LE(4) }
    if (chunk.id === 'ds64') size64 = await sizeInDs64(file, chunk)
    if (chunk.id === 'data') chunk.size = await sizeOfData(file, chunk, size64)
    chunks.push(chunk)
    offset = await nextChunk(file, chunk.start + chunk.size)
  }
  return chunks
}

/** The size of the audio in a 64-bit file; undefined where the file ends before it. */
async function sizeInDs64(file: FileWindow, { start }: Chunk): Promise<number | undefined> {
  const bytes = await file.bytes(start, 16)
  return bytes.length === 16 ? Number(bytes.readBigUInt64LE(8)) : undefined
}

/** Each byte is a chunk's header or the content of a whole chunk of a kind that we know, so none of them can be audio. */
function isExplained(file: FileWindow, chunks: Chunk[]): boolean {
  const last = chunks.at(-1)
  if (!last || !chunks.every(({ id }) => NO_AUDIO.has(id))) return false
  const behind = file.size - (last.start + last.size)
  return last.start >= file.size || behind === 0 || behind === 1 // one byte of padding
}

async function sizeOfData(file: FileWindow, { start, size }: Chunk, size64: number | undefined): Promise<number> {
  if (size === 0xffffffff && size64 !== undefined && size64 > 0) return size64
  if (!STREAMED_SIZES.has(size)) return size
  const announcedEmpty = size === 0 && (await looksLikeChunk(file, start))
  return announcedEmpty ? 0 : Math.max(0, file.size - start)
}

/** Chunks of odd size are padded, but some writers forget it. */
async function nextChunk(file: FileWindow, end: number): Promise<number> {
  if (end % 2 === 0 || (await looksLikeChunk(file, end))) return end
  return end + 1
}

async function looksLikeChunk(file: FileWindow, offset: number): Promise<boolean> {
  const header = await file.bytes(offset, CHUNK_HEADER_BYTES)
  if (header.length < CHUNK_HEADER_BYTES || !/^[A-Za-z][A-Za-z0-9]{2}[A-Za-z0-9 ]$/.test(header.toString('latin1', 0, 4))) return false
  return offset + CHUNK_HEADER_BYTES + header.readUInt32LE(4) <= file.size + 1
}

type Format = { codec: string; channels: number; sampleRate: number; bits: number } | { trouble: string }

/** Block align and byte rate are passed over: where they lie, the other fields do not. */
async function readFormat(file: FileWindow, chunks: Chunk[]): Promise<Format> {
  const chunk = chunks.find(({ id }) => id === 'fmt ')
  if (!chunk || chunk.size < 16) return { trouble: 'The WAV has no description of its format' }
  const bytes = await file.bytes(chunk.start, Math.min(chunk.size, 40))
  if (bytes.length < 16) return { trouble: 'The WAV ends within its header' }
  const tag = bytes.readUInt16LE(0)
  const realTag = tag === EXTENSIBLE && bytes.length >= 26 ? bytes.readUInt16LE(24) : tag
  const [channels, sampleRate, bits] = [bytes.readUInt16LE(2), bytes.readUInt32LE(4), bytes.readUInt16LE(14)]
  const known = CODECS[realTag]
  if (!known || !known.bits.includes(bits)) {
    return { trouble: `The WAV's codec is not accepted: format 0x${realTag.toString(16)} with ${bits} bits a sample` }
  }
  if (channels < 1 || channels > 2) return { trouble: `The WAV has ${channels} channels` }
  if (sampleRate < 4000 || sampleRate > 192_000) return { trouble: `The WAV's sample rate is ${sampleRate} Hz` }
  return { codec: known.codec, channels, sampleRate, bits }
}

/** Samples a channel that a `fact` chunk promises. */
async function promisedFrames(file: FileWindow, chunks: Chunk[]): Promise<number | undefined> {
  const fact = chunks.find(({ id }) => id === 'fact')
  if (!fact || fact.size < 4) return undefined
  const bytes = await file.bytes(fact.start, 4)
  return bytes.length === 4 ? bytes.readUInt32LE(0) : undefined
}
