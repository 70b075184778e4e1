import { PassThrough, Readable } from 'node:stream'
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals'
import { timedChunks, TooSlow, type Pace } from '../../recordings/timed-chunks.ts'
import { RECORDING_PACE } from '../../recordings/transfer.ts'

/** The limits of a download. */
const PACE: Pace = RECORDING_PACE
const MB = 1024 ** 2

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] })
})
afterEach(() => {
  jest.useRealTimers()
})

const seconds = (count: number): Promise<void> => jest.advanceTimersByTimeAsync(count * 1000)

function read(body: Readable, pace: Pace = PACE): { bytes: number; ended: Promise<unknown> } {
  const reading = { bytes: 0, ended: Promise.resolve<unknown>(undefined) }
  reading.ended = (async () => {
    for await (const chunk of timedChunks(body, pace)) reading.bytes += chunk.length
  })().catch((error: unknown) => error)
  return reading
}

/** Writes `bytes` each second. */
async function send(body: PassThrough, bytes: number, times: number): Promise<void> {
  for (let i = 0; i < times && !body.destroyed; i += 1) {
    body.write(Buffer.alloc(bytes))
    await seconds(1)
  }
}

describe('When a body', () => {
  test('sends no bytes, then it is destroyed after the idle time', async () => {
    const body = new PassThrough()
    const { ended } = read(body, { ...PACE, baseMs: 600_000 })
    await seconds(29)
    expect(body.destroyed).toBe(false)
    await seconds(2)
    expect(await ended).toBeInstanceOf(TooSlow)
  })

  test('sends no bytes when its total time ends, then it is destroyed at that time', async () => {
    const body = new PassThrough()
    const { ended } = read(body, { ...PACE, idleMs: 600_000 })
    await seconds(31)
    expect(body.destroyed).toBe(true)
    expect(await ended).toBeInstanceOf(TooSlow)
  })

  test('sends one byte per second, then it is destroyed after the total time', async () => {
    const body = new PassThrough()
    const { ended } = read(body)
    await send(body, 1, 60)
    expect(body.destroyed).toBe(true)
    expect(await ended).toEqual(new TooSlow('too slow: 30 bytes in 30 s'))
  })

  test('sends 1 MB per second, then it is read to its end', async () => {
    const body = new PassThrough({ highWaterMark: 4 * MB })
    const reading = read(body)
    await send(body, MB, 120)
    body.end()
    expect(await reading.ended).toBeUndefined()
    expect(reading.bytes).toBe(120 * MB)
  })

  test('has bytes available when its total time has passed, then reading it still fails', async () => {
    const body = Readable.from([Buffer.alloc(1)])
    expect(await read(body, { ...PACE, baseMs: 0 }).ended).toBeInstanceOf(TooSlow)
  })
})

test('When the reader is slow, then its time does not count for the source', async () => {
  const body = Readable.from(Array.from({ length: 10 }, () => Buffer.alloc(1)))
  let bytes = 0
  for await (const chunk of timedChunks(body, PACE)) {
    bytes += chunk.length
    await seconds(60)
  }
  expect(bytes).toBe(10)
})

test('When the reader stops, then the body is destroyed', async () => {
  const body = new PassThrough()
  body.write('audio')
  for await (const _chunk of timedChunks(body, PACE)) break
  expect(body.destroyed).toBe(true)
  expect(jest.getTimerCount()).toBe(0)
})
