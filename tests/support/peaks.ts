// Waveform peaks of bytes in memory, and an independent computation of what they should be.
import type { PeaksResult } from '../../contracts/peaks.ts'
import { computePeaks } from '../../recordings/peaks/compute-peaks.ts'

const MAX_POINTS = 2000

/** Computes the peaks of a file that arrives in pieces of this size. */
export function peaksOf(file: Buffer, pieceBytes = 64 * 1024): Promise<PeaksResult> {
  const signal = new AbortController().signal
  return computePeaks(pieces(file, pieceBytes), file.length, { signal, share: 1, onProgress: () => {} })
}

async function* pieces(file: Buffer, bytes: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < file.length; at += bytes) yield file.subarray(at, at + bytes)
}

/** The loudest sample of each point, as a byte. Each point has the smallest power of two of samples for which 2,000 points suffice. */
export function expectedPoints(samples: ArrayLike<number>): number[] {
  let perPoint = 1
  while (Math.ceil(samples.length / perPoint) > MAX_POINTS) perPoint *= 2
  return Array.from({ length: Math.ceil(samples.length / perPoint) }, (_, point) => {
    const part = Array.prototype.slice.call(samples, point * perPoint, (point + 1) * perPoint) as number[]
    return Math.round(255 * Math.min(1, Math.max(...part.map((sample) => Math.abs(sample)))))
  })
}

/** @throws if there are no peaks */
export function pointsOf(result: PeaksResult): number[][] {
  if (result.kind === 'none') throw new Error(result.reason)
  return result.peaks.channels.map((points) => [...points])
}

/** The greatest difference between two lists of points. Infinite if their lengths differ. */
export function greatestDifference(points: number[], expected: number[]): number {
  if (points.length !== expected.length) return Infinity
  return Math.max(...points.map((point, index) => Math.abs(point - expected[index]!)))
}

/** Full scale is 1. */
export function tone(
  seconds: number,
  { amplitude, hertz, sampleRate }: { amplitude: number; hertz: number; sampleRate: number },
): number[] {
  return Array.from({ length: seconds * sampleRate }, (_, at) => amplitude * Math.sin((2 * Math.PI * hertz * at) / sampleRate))
}
