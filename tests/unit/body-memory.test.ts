import { afterEach, expect, test } from '@jest/globals'
import { HeldBody } from '../../api/body-memory.ts'

const MB = 1024 ** 2
const GRANTED = 16 * 1024

interface Sent {
  body: HeldBody
  isHeld: boolean
  isGivenUp: boolean
}
const all: Sent[] = []
afterEach(() => all.splice(0).forEach(({ body }) => body.release()))

/** A body of this client that holds so many MB. */
function send(client: string, megabytes: number): Sent {
  const sent: Sent = { body: new HeldBody(client, () => (sent.isGivenUp = true)), isHeld: false, isGivenUp: false }
  sent.isHeld = sent.body.hold(megabytes * MB + GRANTED)
  all.push(sent)
  return sent
}

const givenUp = (bodies: Sent[]) => bodies.map(({ isGivenUp }) => isGivenUp)

test('When a client holds all that it may, then its next body takes the place of its oldest unfinished one', () => {
  const other = send('b', 1)
  const bodies = [send('a', 4), send('a', 4), send('a', 1)]
  expect(givenUp(bodies)).toEqual([true, false, false])
  expect([bodies[2]!.isHeld, other.isGivenUp]).toEqual([true, false])
})

test('When clients hold all memory, then a body of another one takes the place of the oldest of the client that holds the most', () => {
  const many = Array.from({ length: 6 }, (_, i) => send(`a${i}`, 4))
  const most = [send('m', 3), send('m', 4)]
  const [last, next] = [send('z', 1), send('next', 1)]
  expect(givenUp([...many, ...most, last, next])).toEqual([...Array(6).fill(false), true, false, false, false])
  expect(next.isHeld).toBe(true)
})

test('When the client that holds the most sends another body, then none of others is given up', () => {
  const others = Array.from({ length: 7 }, (_, i) => send(`a${i}`, 3.7))
  const own = [send('m', 3), send('m', 3), send('m', 1)]
  expect(givenUp(others)).toEqual(Array(7).fill(false))
  expect([givenUp(own), own[2]!.isHeld]).toEqual([[true, false, false], true])
})

test('When bodies have arrived whole, then they keep their memory, and another one is refused', () => {
  const bodies = [send('a', 4), send('a', 4)]
  for (const { body } of bodies) body.finish()
  expect(send('a', 1).isHeld).toBe(false)
  expect(givenUp(bodies)).toEqual([false, false])
  bodies[0]!.body.release()
  bodies[0]!.body.release()
  expect(send('a', 4).isHeld).toBe(true)
  expect(send('a', 1).isHeld).toBe(true) // in the place of the one before
})

test('When a body is short, then it is held even where all memory is used up', () => {
  const bodies = [send('a', 8), send('b', 8), send('c', 8), send('d', 8)]
  for (const { body } of bodies) body.finish()
  expect([send('a', 0).isHeld, send('e', 0).isHeld, send('e', 0.001).isHeld]).toEqual([true, true, false])
})
