import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { MAX_POINTS, PeakPoints } from '../../recordings/peaks/peak-points.ts'
import { expectedPoints, pointsOf } from '../support/peaks.ts'

/** Samples that differ, so that each point has another value. */
const samplesOf = (count: number, seed: number): Float32Array =>
  Float32Array.from({ length: count }, (_, at) => Math.sin(at * at * 0.001 + seed) * (at % 997 === 0 ? 1.2 : 0.7))

function collect(channels: Float32Array[], blocks: number[]): PeakPoints {
  const points = new PeakPoints(channels.length)
  const total = channels[0]!.length
  for (let at = 0, block = 0; at < total; block += 1) {
    const end = Math.min(total, at + blocks[block % blocks.length]!)
    points.add(
      channels.map((samples) => samples.subarray(at, end)),
      end - at,
    )
    at = end
  }
  return points
}

test('When samples arrive in any blocks, then the points are the loudest samples of equal parts', () => {
  const blocks = fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 5 })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40_000 }), blocks, (count, sizes) => {
      const channels = [samplesOf(count, 1), samplesOf(count, 2)]
      expect(pointsOf(collect(channels, sizes).finish(1))).toEqual(channels.map((samples) => expectedPoints(samples)))
    }),
    { numRuns: 50 },
  )
})

test.each([MAX_POINTS - 1, MAX_POINTS, MAX_POINTS + 1, 2 * MAX_POINTS, 2 * MAX_POINTS + 1, 64 * MAX_POINTS + 1])(
  'When there are %i samples, then there are at most 2,000 points, and at least half of that if there are as many samples',
  (count) => {
    const samples = samplesOf(count, 3)
    const [points] = pointsOf(collect([samples], [4096]).finish(1))
    expect(points).toEqual(expectedPoints(samples))
    expect(points!.length).toBeLessThanOrEqual(2000)
    expect(points!.length).toBeGreaterThanOrEqual(1000)
  },
)

test('When only some of the samples of an array count, then the others are ignored', () => {
  const points = new PeakPoints(1)
  points.add([Float32Array.of(0.5, 1, 1)], 1)
  points.add([Float32Array.of(-0.25, 1, 1)], 1)
  expect(pointsOf(points.finish(1))).toEqual([[128, 64]])
})

test('When samples are above full scale, negative or not a number, then a point is between 0 and 255', () => {
  const points = new PeakPoints(1)
  points.add([Float32Array.of(3, -3, NaN, Infinity, -1, 0)], 6)
  expect(pointsOf(points.finish(1))).toEqual([[255, 255, 0, 255, 255, 0]])
})

test('When there are no samples, then there are no peaks, with a reason', () => {
  const points = new PeakPoints(2)
  points.add([new Float32Array(0), new Float32Array(0)], 0)
  expect(points.finish(1)).toEqual({ kind: 'none', reason: 'The file has no audio that can be decoded' })
})
