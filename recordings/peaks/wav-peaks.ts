import type { PeaksResult } from '../../contracts/peaks.ts'
import { findWavAudio } from '../audio/wav.ts'
import type { ForwardStream } from './forward-stream.ts'
import { PeakPoints } from './peak-points.ts'
import type { Slices } from './slices.ts'
import { sampleReader, type ReadSample } from './wav-samples.ts'

/** About 1 ms of work. */
const BLOCK_FRAMES = 8192
const MAX_CHANNELS = 2

/** Computes the peaks of the WAV that starts at `start`. Like players, reads only its first audio. */
export async function wavPeaks(file: ForwardStream, start: number, slices: Slices): Promise<PeaksResult> {
  const audio = await findWavAudio(file, start)
  if (!audio) return none('The WAV has no audio')
  const { description } = audio
  if (!description) return none('The WAV has no description of its format before its audio')
  const { channels, sampleRate, bits, tag } = description
  const read = sampleReader(description)
  if (!read) return none(`The WAV's codec is not supported: format 0x${tag.toString(16)} with ${bits} bits per sample`)
  if (channels < 1 || channels > MAX_CHANNELS) return none(`The WAV has ${channels} channels`)
  if (sampleRate === 0) return none('The WAV has a sample rate of 0 Hz')

  const decoder = new FrameDecoder(read, channels, bits / 8)
  const points = new PeakPoints(channels)
  for await (const chunk of file.chunks(audio.start, audio.bytes)) {
    for (const block of decoder.blocksOf(chunk)) {
      await slices.run(() => points.add(decoder.samples, decoder.decode(block)))
    }
  }
  return points.finish(decoder.frames / sampleRate)
}

/** Converts interleaved frames to samples of each channel. */
class FrameDecoder {
  /** The samples of the last block. */
  readonly samples: Float32Array[]
  readonly #read: ReadSample
  readonly #sampleBytes: number
  readonly #frameBytes: number
  /** The beginning of a frame that continues in the next chunk. */
  #rest: Buffer = Buffer.alloc(0)
  #frames = 0

  constructor(read: ReadSample, channels: number, sampleBytes: number) {
    this.samples = Array.from({ length: channels }, () => new Float32Array(BLOCK_FRAMES))
    this.#read = read
    this.#sampleBytes = sampleBytes
    this.#frameBytes = channels * sampleBytes
  }

  /** The number of frames decoded so far. */
  get frames(): number {
    return this.#frames
  }

  /** Divides a chunk into blocks of complete frames. */
  *blocksOf(chunk: Buffer): Generator<Buffer> {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const end = bytes.length - (bytes.length % this.#frameBytes)
    this.#rest = bytes.subarray(end)
    const blockBytes = BLOCK_FRAMES * this.#frameBytes
    for (let at = 0; at < end; at += blockBytes) yield bytes.subarray(at, Math.min(at + blockBytes, end))
  }

  /** @returns the number of samples of each channel */
  decode(block: Buffer): number {
    const frames = block.length / this.#frameBytes
    for (const [channel, samples] of this.samples.entries()) {
      let at = channel * this.#sampleBytes
      for (let frame = 0; frame < frames; frame += 1) {
        samples[frame] = this.#read(block, at)
        at += this.#frameBytes
      }
    }
    this.#frames += frames
    return frames
  }
}

function none(reason: string): PeaksResult {
  return { kind: 'none', reason }
}
