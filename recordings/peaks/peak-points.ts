import type { PeaksResult } from '../../contracts/peaks.ts'

/** Even, because full points are merged in pairs. A waveform is rarely wider on a screen. */
export const MAX_POINTS = 2000
const FULL_SCALE = 255

/**
 * Collects the loudest sample of each point, without knowing how many samples follow. When all points are full, each pair becomes one
 * point of twice as many samples. So the result has at least half of {@link MAX_POINTS}, unless the audio has fewer samples.
 *
 * wavesurfer.js 7 draws the absolute value of each point only, so the smallest and the largest sample are not needed separately.
 */
export class PeakPoints {
  readonly #channels: Float32Array[]
  #samplesPerPoint = 1
  /** The current point, and how many samples of each channel it has. */
  #current = 0
  #samples = 0

  constructor(channels: number) {
    this.#channels = Array.from({ length: channels }, () => new Float32Array(MAX_POINTS))
  }

  /** @param samples of each channel, full scale is 1; of each only the first `count` */
  add(samples: Float32Array[], count: number): void {
    for (let at = 0; at < count;) {
      if (this.#samples === this.#samplesPerPoint) this.#startPoint()
      const end = Math.min(count, at + this.#samplesPerPoint - this.#samples)
      for (const [index, points] of this.#channels.entries())
        points[this.#current] = Math.max(points[this.#current]!, loudest(samples[index]!, at, end))
      this.#samples += end - at
      at = end
    }
  }

  finish(durationSeconds: number): PeaksResult {
    if (this.#samples === 0) return { kind: 'none', reason: 'The file has no audio that can be decoded' }
    const channels = this.#channels.map((points) => Uint8Array.from(points.subarray(0, this.#current + 1), toByte))
    return { kind: 'peaks', peaks: { channels, durationSeconds: Math.round(durationSeconds * 1000) / 1000 } }
  }

  #startPoint(): void {
    this.#samples = 0
    this.#current += 1
    if (this.#current < MAX_POINTS) return
    for (const points of this.#channels) mergePairs(points)
    this.#current = MAX_POINTS / 2
    this.#samplesPerPoint *= 2
  }
}

/** Ignores values that are not a number. */
function loudest(samples: Float32Array, from: number, to: number): number {
  let max = 0
  for (let at = from; at < to; at += 1) {
    const magnitude = Math.abs(samples[at]!)
    if (magnitude > max) max = magnitude
  }
  return max
}

function mergePairs(points: Float32Array): void {
  const half = points.length / 2
  for (let at = 0; at < half; at += 1) points[at] = Math.max(points[2 * at]!, points[2 * at + 1]!)
  points.fill(0, half)
}

/** Compressed audio may be louder than full scale. */
function toByte(magnitude: number): number {
  return Math.round(Math.min(magnitude, 1) * FULL_SCALE)
}
