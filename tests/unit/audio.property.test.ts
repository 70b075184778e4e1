// The inspection returns a finding for any bytes: real recordings with changed bytes, and random bytes.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { inspectAudio } from '../../recordings/audio/inspect.ts'
import { chunk, mp3, wav } from '../support/audio.ts'
import { sample } from '../support/samples.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'audio-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

function inspect(bytes: Buffer) {
  const path = join(folder, 'file')
  writeFileSync(path, bytes)
  return inspectAudio(path)
}

test('When any bytes of a real recording are changed, cut or repeated, then there is a finding, never an error', async () => {
  const originals = [
    ...['agent-mulaw.wav', 'inbound-dual.mp3', 'short-vbr-id3.mp3'].map((name) => readFileSync(sample(name)).subarray(0, 20_000)),
    wav({ riff: 'RF64', dataSize: 0xffffffff, seconds: 1 }),
    wav({ extensible: true, fact: 100, seconds: 1, after: [chunk('LIST', Buffer.alloc(10))] }),
    mp3({ xingFrames: 50, id3: 100, trailer: Buffer.from('APETAGEX'.padEnd(32, '\0')) }),
    Buffer.concat([Buffer.from('OggS'), Buffer.alloc(24), Buffer.from('\x01vorbis'), Buffer.alloc(100)]),
    Buffer.from('0000001c6674797069736f6d0000020069736f6d69736f32617663316d703431', 'hex'),
  ]
  // Most changes are made in the headers, because they have the most effect.
  const place = fc.oneof({ weight: 4, arbitrary: fc.nat(80) }, { weight: 1, arbitrary: fc.nat(20_000) })
  const value = fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.nat(255))
  const changes = fc.array(fc.tuple(place, value), { maxLength: 12 })
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...originals), changes, fc.nat(20_000), fc.boolean(), async (original, changed, cut, twice) => {
      const bytes = Buffer.from(original)
      for (const [at, byte] of changed) bytes[at % bytes.length] = byte
      const part = cut % 3 === 0 ? bytes.subarray(0, cut % bytes.length) : bytes
      const finding = await inspect(twice ? Buffer.concat([part, part]) : part)
      expect(JSON.stringify(finding)).not.toMatch(/NaN|Infinity|null/)
    }),
    { numRuns: 300 },
  )
})

test('When random bytes are inspected, then there is a finding, never an error', async () => {
  const starts = fc.constantFrom(
    Buffer.alloc(0),
    Buffer.from('RIFF\xff\xff\xff\xffWAVE', 'latin1'),
    wav().subarray(0, 60),
    mp3().subarray(0, 300),
    Buffer.from('ID3'),
  )
  await fc.assert(
    fc.asyncProperty(starts, fc.uint8Array({ maxLength: 400 }), async (start, rest) => {
      const finding = await inspect(Buffer.concat([start, rest]))
      expect(JSON.stringify(finding)).not.toMatch(/NaN|Infinity|null/)
    }),
  )
})
