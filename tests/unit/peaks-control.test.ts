// How the computation shares the process with other work, how it ends early, and how much memory it takes.
import { describe, expect, test } from '@jest/globals'
import { setImmediate } from 'node:timers/promises'
import { computePeaks, type PeaksControl } from '../../recordings/peaks/compute-peaks.ts'
import { ForwardStream } from '../../recordings/peaks/forward-stream.ts'
import { Slices } from '../../recordings/peaks/slices.ts'
import { wav } from '../support/audio.ts'
import { base } from '../corpus/recipes.ts'

const MB = 1024 ** 2
const CHUNK = Buffer.alloc(64 * 1024, 0x21)
/** More than the memory of a chunk and the points, far less than the stream. */
const MAX_GROWTH_BYTES = 64 * MB

function control(options: Partial<PeaksControl> = {}): PeaksControl {
  return { signal: new AbortController().signal, share: 1, onProgress: () => {}, ...options }
}

/** A stereo WAV of this many bytes, whose bytes are made as they are read. */
function longWav(bytes: number): { source: AsyncGenerator<Buffer>; size: number; state: { read: number; isClosed: boolean } } {
  const header = wav({ channels: 2, seconds: 0, dataSize: bytes })
  const state = { read: 0, isClosed: false }
  async function* source(): AsyncGenerator<Buffer> {
    try {
      yield header
      for (; state.read < bytes; state.read += CHUNK.length) yield CHUNK.subarray(0, bytes - state.read)
    } finally {
      state.isClosed = true
    }
  }
  return { source: source(), size: header.length + bytes, state }
}

test('When a WAV is much larger than the memory of the computation, then its memory stays bounded', async () => {
  const { source, size } = longWav(200 * MB)
  const before = process.memoryUsage().rss
  let most = 0
  const result = await computePeaks(source, size, control({ onProgress: () => void (most = Math.max(most, process.memoryUsage.rss())) }))
  expect(result).toMatchObject({ kind: 'peaks', peaks: { durationSeconds: (200 * MB) / 4 / 8000 } })
  expect(most - before).toBeLessThan(MAX_GROWTH_BYTES)
})

test.each([
  ['a WAV', () => longWav(40 * MB)],
  ['an MP3', () => longMp3(60)],
])('When %s is decoded whose bytes are all there at once, then other work of the process gets its turns', async (_what, open) => {
  const { source, size } = open()
  let turns = 0
  const done = new AbortController()
  const others = (async () => {
    for (; !done.signal.aborted; turns += 1) await setImmediate()
  })()
  await computePeaks(source, size, control())
  done.abort()
  await others
  expect(turns).toBeGreaterThan(5)
})

/** The file of tones, again and again. */
function longMp3(times: number): { source: AsyncGenerator<Buffer>; size: number } {
  const file = base('tones.mp3')
  async function* source(): AsyncGenerator<Buffer> {
    for (let time = 0; time < times; time += 1) yield file
  }
  return { source: source(), size: file.length * times }
}

test('When the work takes longer than a slice, then a pause follows, in which timers run', async () => {
  const slices = new Slices(0.25, new AbortController().signal)
  let ran = 0
  const timer = setInterval(() => void (ran += 1), 1)
  for (let pieces = 0; pieces < 40; pieces += 1) await slices.run(() => busyFor(2))
  clearInterval(timer)
  expect(ran).toBeGreaterThanOrEqual(6) // 80 ms of work are about 7 slices
})

function busyFor(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end;);
}

describe('When the computation is aborted, then it throws the reason and reads no further:', () => {
  test.each([
    ['while it decodes', 5 * MB],
    ['before the first byte', 0],
  ])('%s', async (_when, afterBytes) => {
    const { source, size, state } = longWav(400 * MB)
    const abort = new AbortController()
    const reason = new Error('cancelled')
    if (afterBytes === 0) abort.abort(reason)
    const onProgress = (bytes: number): void => void (bytes > afterBytes && abort.abort(reason))
    await expect(computePeaks(source, size, control({ signal: abort.signal, onProgress }))).rejects.toBe(reason)
    expect(state.read).toBeLessThan(10 * MB)
    expect(state.isClosed).toBe(true)
  })

  test('before a piece of work', async () => {
    const reason = new Error('cancelled')
    let pieces = 0
    await expect(new Slices(1, AbortSignal.abort(reason)).run(() => (pieces += 1))).rejects.toBe(reason)
    expect(pieces).toBe(0)
  })

  test('during a pause', async () => {
    const abort = new AbortController()
    const slices = new Slices(0.0001, abort.signal) // the pause would last minutes
    const running = slices.run(() => busyFor(15))
    const reason = new Error('cancelled')
    abort.abort(reason)
    await expect(running).rejects.toBe(reason)
  })
})

test('When the source fails, then its error is thrown, because the file is not the cause', async () => {
  const failure = new Error('connection reset')
  async function* source(): AsyncGenerator<Buffer> {
    yield base('tones.mp3').subarray(0, 5000)
    throw failure
  }
  await expect(computePeaks(source(), 50_000, control())).rejects.toBe(failure)
})

test('When bytes are read, then the progress is their number so far', async () => {
  const { source, size } = longWav(MB)
  const progress: number[] = []
  await computePeaks(source, size, control({ onProgress: (bytes) => progress.push(bytes) }))
  expect(progress).toEqual(progress.toSorted((a, b) => a - b))
  expect(progress.at(-1)).toBe(size)
})

describe('When a stream is read forward', () => {
  const bytes = Buffer.from(Array.from({ length: 100 }, (_, at) => at))
  async function* source(): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += 7) yield bytes.subarray(at, at + 7)
  }
  const open = (size = bytes.length): ForwardStream => new ForwardStream(source(), size, () => {})
  const all = async (chunks: AsyncIterable<Buffer>): Promise<Buffer> => {
    const parts: Buffer[] = []
    for await (const chunk of chunks) parts.push(chunk)
    return Buffer.concat(parts)
  }

  test('then each view has the bytes at its offset, also after a gap and at the end', async () => {
    const stream = open()
    for (const [at, length] of [
      [0, 10],
      [0, 3],
      [5, 20],
      [60, 8],
      [95, 50],
      [100, 5],
    ] as const)
      expect(await stream.view(at, length)).toEqual(bytes.subarray(at, at + length))
  })

  test('then the chunks after a view start where they should and have the requested length', async () => {
    for (const [viewed, from, length] of [
      [0, 0, 100],
      [20, 20, 30],
      [3, 50, 50],
      [90, 95, 100],
      [0, 0, 0],
    ] as const) {
      const stream = open()
      await stream.view(viewed, 30)
      expect(await all(stream.chunks(from, length))).toEqual(bytes.subarray(from, from + length))
    }
  })

  test('and it ends before its announced size, then a view has the bytes that exist', async () => {
    expect(await open(1000).view(90, 50)).toEqual(bytes.subarray(90))
    expect(await open(1000).view(500, 50)).toEqual(Buffer.alloc(0))
  })

  test('then an offset before the view is refused', async () => {
    const stream = open()
    await stream.view(20, 5)
    await expect(stream.view(19, 5)).rejects.toThrow('cannot be read from 19')
  })
})
