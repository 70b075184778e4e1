// Waveform peaks of the largest recordings, in bounded memory.
import { expect, test } from '@jest/globals'
import { computePeaks } from '../../recordings/peaks/compute-peaks.ts'
import { wav } from '../support/audio.ts'
import { base } from '../corpus/recipes.ts'
import { join } from '../corpus/bytes.ts'

const MB = 1024 ** 2
const MAX_GROWTH_BYTES = 100 * MB
/** Stereo of 16 bits: a sample of the agent and a sample of the customer. */
const CHUNK = Buffer.from(Int16Array.from({ length: 32 * 1024 }, (_, at) => (at % 2 === 0 ? 16_384 : -8192)).buffer)

async function* repeated(head: Buffer, chunk: Buffer, bytes: number): AsyncGenerator<Buffer> {
  yield head
  for (let sent = 0; sent < bytes; sent += chunk.length) yield chunk.subarray(0, bytes - sent)
}

async function measure(source: AsyncGenerator<Buffer>, size: number) {
  const before = process.memoryUsage.rss()
  let most = before
  const startedAt = performance.now()
  const signal = new AbortController().signal
  const onProgress = (): void => void (most = Math.max(most, process.memoryUsage.rss()))
  const result = await computePeaks(source, size, { signal, share: 1, onProgress })
  const seconds = (performance.now() - startedAt) / 1000
  console.log(
    JSON.stringify({ mb: Math.round(size / MB), seconds: Number(seconds.toFixed(1)), growthMb: Math.round((most - before) / MB) }),
  )
  expect(most - before).toBeLessThan(MAX_GROWTH_BYTES)
  return result
}

test('When a stereo WAV has 1.2 GB, then its peaks are computed in bounded memory', async () => {
  const bytes = 1200 * MB
  const head = wav({ channels: 2, seconds: 0, dataSize: bytes })
  const result = await measure(repeated(head, CHUNK, bytes), head.length + bytes)
  expect(result).toMatchObject({ kind: 'peaks', peaks: { durationSeconds: bytes / 4 / 8000 } })
  const [agent, customer] = result.kind === 'peaks' ? result.peaks.channels : []
  expect([new Set(agent), new Set(customer)]).toEqual([new Set([128]), new Set([64])])
})

test('When an MP3 lasts two hours, then its peaks are computed in bounded memory', async () => {
  const file = base('tones.mp3')
  const chunk = join(...Array.from({ length: 20 }, () => file))
  const times = 3600 / 20
  const result = await measure(repeated(Buffer.alloc(0), chunk, times * chunk.length), times * chunk.length)
  expect(result).toMatchObject({ kind: 'peaks' })
  const seconds = result.kind === 'peaks' ? result.peaks.durationSeconds : 0
  expect(Math.abs(seconds - 7200)).toBeLessThan(7200 * 0.05) // the encoder pads each copy
})
