import { statfsSync } from 'node:fs'
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

test('When a download ended without writing what it had reserved, then these bytes do not count as written', async () => {
  const { bavail, bsize } = statfsSync(tmpdir())
  const share = (part: number): number => Math.floor(bavail * bsize * part)
  const space = new SpoolSpace(tmpdir(), { maxBytes: Number.MAX_SAFE_INTEGER, minFreeBytes: share(0.3) }, async () => new Map())
  await space.reserve('a', share(0.4))
  space.release('a')
  await space.reserve('a', share(0.4))
  await expect(space.reserve('b', share(0.4))).rejects.toThrow(SpoolFull)
})
