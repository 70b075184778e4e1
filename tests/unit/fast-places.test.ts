// How many recordings are on the fast path of a worker at once.
import { expect, test } from '@jest/globals'
import { openFastPlaces } from '../../activities/fast-places.ts'

const LONG_MS = 60_000

test('When all places are taken, then the next recording gets the first that becomes free', async () => {
  const places = openFastPlaces(2, LONG_MS)
  expect(await Promise.all([places.take(), places.take()])).toEqual([true, true])
  const order: number[] = []
  const waiting = [1, 2].map((each) => places.take().then((hasPlace) => order.push(hasPlace ? each : -each)))
  places.free()
  places.free()
  await Promise.all(waiting)
  expect(order).toEqual([1, 2])
})

test('When no place becomes free in time, then the recording gets none, and a later one can still get one', async () => {
  const places = openFastPlaces(1, 1)
  expect(await places.take()).toBe(true)
  expect(await places.take()).toBe(false)
  places.free()
  expect(await places.take()).toBe(true)
  expect(await places.take()).toBe(false)
})
