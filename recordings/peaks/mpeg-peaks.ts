import { MPEGDecoder, type MPEGDecodedAudio } from 'mpg123-decoder'
import type { PeaksResult } from '../../contracts/peaks.ts'
import type { FoundFrame } from '../audio/mpeg.ts'
import { readFrame } from '../audio/mpeg-frame.ts'
import type { MpegPart } from '../audio/mpeg-part.ts'
import { walkAudio } from '../audio/walk.ts'
import type { ForwardStream } from './forward-stream.ts'
import { PeakPoints } from './peak-points.ts'
import type { Slices } from './slices.ts'

const MAX_ERRORS_IN_FRAME = 100

/**
 * Computes the peaks of all MPEG frames from `start` to the end of the file. The decoder gets only the frames that audio validation finds,
 * so tags, gaps and other bytes do not disturb it. The first frame decides the number of channels, because the decoder always returns two.
 */
export async function mpegPeaks(file: ForwardStream, start: number, slices: Slices): Promise<PeaksResult> {
  const first = readFrame(await file.view(start), 0)
  // mpg123 loses most of such frames, without an error.
  if (first?.freeBytes !== undefined) return { kind: 'none', reason: 'The MP3 is in free format, which the decoder does not support' }
  const frames = new FrameDecoder(first?.channels ?? 2, slices)
  try {
    await walkAudio(file, { from: start, onFrames: (found) => frames.add(found) })
    return frames.finish()
  } finally {
    frames.close()
  }
}

/** Decodes frames. Each part of a joined file has its own decoder, because each was encoded by itself. */
class FrameDecoder {
  readonly #points: PeakPoints
  readonly #slices: Slices
  #seconds = 0
  /** The sample rate of the first frame. */
  #sampleRate: number | undefined
  #decoder: MPEGDecoder | undefined
  #part: MpegPart | undefined
  #format: number | undefined

  constructor(channels: number, slices: Slices) {
    this.#points = new PeakPoints(channels)
    this.#slices = slices
  }

  async add(frames: FoundFrame[]): Promise<void> {
    for (const { bytes, frame, part } of frames) {
      if (part !== this.#part || frame.format !== this.#format) await this.#startPart(part, frame.format)
      await this.#slices.run(() => this.#addSamples(decodeFrame(this.#decoder!, bytes)))
    }
  }

  finish(): PeaksResult {
    return this.#points.finish(this.#seconds)
  }

  close(): void {
    this.#decoder?.free()
    this.#decoder = undefined
  }

  async #startPart(part: MpegPart, format: number): Promise<void> {
    this.close()
    const decoder = new MPEGDecoder()
    await decoder.ready
    this.#decoder = decoder
    this.#part = part
    this.#format = format
  }

  #addSamples({ channelData, samplesDecoded, sampleRate }: MPEGDecodedAudio): void {
    if (samplesDecoded === 0) return
    this.#sampleRate ??= sampleRate
    const rate = this.#sampleRate
    const channels = rate === sampleRate ? channelData : channelData.map((samples) => resampled(samples, sampleRate, rate))
    this.#points.add(channels, channels[0]!.length)
    this.#seconds += samplesDecoded / sampleRate
  }
}

/**
 * The decoder writes each error to the console and then tries again, without limit. Here its errors are counted instead, because a decoder
 * that cannot continue would block the process forever. The call is synchronous, so no other code writes to the console meanwhile.
 * @throws if there are too many errors
 */
function decodeFrame(decoder: MPEGDecoder, bytes: Buffer): MPEGDecodedAudio {
  const { error } = console
  let errors = 0
  console.error = () => {
    errors += 1
    if (errors > MAX_ERRORS_IN_FRAME) throw new Error('The decoder cannot continue')
  }
  try {
    return decoder.decode(bytes)
  } finally {
    console.error = error
  }
}

/** Repeats or skips samples, so that points last equally long in all parts of a joined file. */
function resampled(samples: Float32Array, from: number, to: number): Float32Array {
  const length = Math.round((samples.length * to) / from)
  return Float32Array.from({ length }, (_, at) => samples[Math.floor((at * from) / to)]!)
}
