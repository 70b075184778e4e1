import { afterEach, expect, test } from '@jest/globals'
import { HeldBody } from '../../api/body-memory.ts'

const MB = 1024 ** 2
const GRANTED = 16 * 1024

interface Sent {
  body: HeldBody
  isHeld: boolean
  isEvicted: boolean
}
const all: Sent[] = []
afterEach(() => all.splice(0).forEach(({ body }) => body.release()))

/** Sends a body of this client that holds this memory. */
function send(client: string, megabytes: number): Sent {
  const sent: Sent = { body: new HeldBody(client, () => (sent.isEvicted = true)), isHeld: false, isEvicted: false }
  sent.isHeld = sent.body.hold(megabytes * MB + GRANTED)
  all.push(sent)
  return sent
}

const evicted = (bodies: Sent[]) => bodies.map(({ isEvicted }) => isEvicted)

test('When a client holds its maximum, then its next body takes the memory of its oldest unfinished one', () => {
  const other = send('b', 1)
  const bodies = [send('a', 4), send('a', 4), send('a', 1)]
  expect(evicted(bodies)).toEqual([true, false, false])
  expect([bodies[2]!.isHeld, other.isEvicted]).toEqual([true, false])
})

test('When clients hold all memory, then a body of another client takes the memory of the client that holds the most', () => {
  const many = Array.from({ length: 6 }, (_, i) => send(`a${i}`, 4))
  const most = [send('m', 3), send('m', 4)]
  const [last, next] = [send('z', 1), send('next', 1)]
  expect(evicted([...many, ...most, last, next])).toEqual([...Array(6).fill(false), true, false, false, false])
  expect(next.isHeld).toBe(true)
})

test('When the client that holds the most sends another body, then no body of another client loses its memory', () => {
  const others = Array.from({ length: 7 }, (_, i) => send(`a${i}`, 3.7))
  const own = [send('m', 3), send('m', 3), send('m', 1)]
  expect(evicted(others)).toEqual(Array(7).fill(false))
  expect([evicted(own), own[2]!.isHeld]).toEqual([[true, false, false], true])
})

test('When bodies have arrived completely, then they keep their memory, and another body is rejected', () => {
  const bodies = [send('a', 4), send('a', 4)]
  for (const { body } of bodies) body.finish()
  expect(send('a', 1).isHeld).toBe(false)
  expect(evicted(bodies)).toEqual([false, false])
  bodies[0]!.body.release()
  bodies[0]!.body.release()
  expect(send('a', 4).isHeld).toBe(true)
  expect(send('a', 1).isHeld).toBe(true) // takes the memory of the previous body
})

test('When a body is short, then it is held even if all memory is used up', () => {
  const bodies = [send('a', 8), send('b', 8), send('c', 8), send('d', 8)]
  for (const { body } of bodies) body.finish()
  expect([send('a', 0).isHeld, send('e', 0).isHeld, send('e', 0.001).isHeld]).toEqual([true, true, false])
})
