import { tmpdir } from 'node:os'
import { expect, test } from '@jest/globals'
import { SpoolFull, SpoolSpace } from '../../recordings/spool-space.ts'

test('When two downloads start while the directory is listed, then both use this listing, and what has changed since counts', async () => {
  const listings: ((sizes: Map<string, number>) => void)[] = []
  const list = () => new Promise<Map<string, number>>((resolve) => listings.push(resolve))
  const space = new SpoolSpace(tmpdir(), { maxBytes: 1000, minFreeBytes: 0 }, list)
  const reservations = [space.reserve('a', 100), space.reserve('b', 600)]
  space.changed('c', 400) // after the listing has begun
  expect(listings).toHaveLength(1)
  listings[0]!(new Map())
  const outcomes = await Promise.allSettled(reservations)
  expect(outcomes.map((outcome) => outcome.status)).toEqual(['fulfilled', 'rejected'])
  expect(outcomes[1]).toMatchObject({ reason: expect.any(SpoolFull) })
})
