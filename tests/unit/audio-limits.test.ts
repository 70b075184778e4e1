// Hostile and very large files: the inspection ends, reads each byte at most once, and returns a finding.
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { Finding } from '../../recordings/audio/finding.ts'
import { ForwardFile } from '../../recordings/audio/forward-file.ts'
import { inspectOpened } from '../../recordings/audio/inspect.ts'
import { chunk, id3Text, id3v2, join as joined, junk, repeat, uint32be, zeros } from '../corpus/bytes.ts'
import { base } from '../corpus/recipes.ts'
import { mp3, wav } from '../support/audio.ts'
import { mutatedFiles } from '../support/mutations.ts'

let folder: string
let path: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'limits-'))
  path = join(folder, 'file')
})
afterAll(() => rmSync(folder, { recursive: true }))

async function inspect(bytes?: Buffer): Promise<{ finding: Finding; bytesRead: number; size: number }> {
  if (bytes) writeFileSync(path, bytes)
  const file = await ForwardFile.open(path)
  const finding = await inspectOpened(file).finally(() => file.close())
  return { finding, bytesRead: file.bytesRead, size: file.size }
}

const MB = 1024 ** 2
const plain = base('mono-8000.mp3')
const hostile: [string, Buffer][] = [
  ['headers of free format, four bytes each', repeat(Buffer.from([0xff, 0xfb, 0x00, 0x00]), MB)],
  ['headers of free format of many kinds', repeat(Buffer.from('fffb0000fff30400ffe30800fffa0000fff20400', 'hex'), MB / 8)],
  ['0xFF only', Buffer.alloc(4 * MB, 0xff)],
  ['three frames and a byte, 4,000 times', repeat(joined(plain.subarray(0, 3 * 288), 'x'), 4000)],
  ['starts of WAVs', repeat(Buffer.from('RIFF....WAVE'), MB / 4)],
  ['format chunks that are longer than the file', joined('RIFF....WAVE', repeat(Buffer.from('fmt \xff\xff\xff\x7f', 'latin1'), MB / 4))],
  ['data chunks of one byte', joined(wav({ seconds: 0 }).subarray(0, 36), repeat(chunk('data', zeros(1)), MB / 8))],
  ['ID3 tags without content', repeat(id3v2(zeros(0)), MB / 8)],
  ['a tag of 3 MB between two recordings', joined(plain, id3v2(junk(3 * MB)), plain)],
  ['a tag of 3 MB with a recording in it', joined(plain, id3v2(joined(junk(2 * MB), plain, junk(MB))), plain)],
  ['starts of lyrics', joined(plain, repeat(Buffer.from('LYRICSBEGIN'), MB / 8))],
  ['4 MB of letters after a recording', joined(plain, Buffer.alloc(4 * MB, 'a'))],
  ['starts of pages after a recording', joined(plain, Buffer.alloc(MB, '<html>\x01\x02'))],
  ['starts of gzip files after a recording', joined(plain, Buffer.alloc(MB, Buffer.from('1f8b08080000', 'hex')))],
  ['frames that announce frames', repeat(mp3({ frames: 0, xingFrames: 1 }), 20_000)],
  ['random bytes', junk(4 * MB)],
  ['4 MB of text', Buffer.alloc(4 * MB, 'The recording is not available. ')],
]

describe('When a file is hostile, then the inspection ends and reads each byte at most once:', () => {
  test.each(hostile)('%s', async (_what, bytes) => {
    const { finding, bytesRead, size } = await inspect(bytes)
    expect(finding.kind).toMatch(/damaged|incomplete|none|good/)
    expect(bytesRead).toBeLessThanOrEqual(size)
  })
})

test('When a file has 100 MB of zeros, then it is damaged', async () => {
  writeFileSync(path, '')
  truncateSync(path, 100 * MB)
  const { finding, bytesRead, size } = await inspect()
  expect(finding).toMatchObject({ kind: 'damaged', reason: 'No audio was found in the file' })
  expect(bytesRead).toBeLessThanOrEqual(size)
})

test('When an MP3 of three hours announces a wrong number of frames, then its duration is computed from its frames', async () => {
  const frames = Math.round((3 * 3600 * 8000) / 576)
  const info = base('lame-info.mp3').subarray(0, 288)
  const at = info.indexOf('Info')
  const wrong = Buffer.from(info)
  uint32be(10 * frames).copy(wrong, at + 8)
  uint32be(288 * (frames + 1)).copy(wrong, at + 12)
  const { finding } = await inspect(joined(wrong, repeat(plain.subarray(0, 288), frames)))
  expect(finding).toMatchObject({ kind: 'good', remark: expect.stringContaining(`announces ${10 * frames} frames and has ${frames}`) })
  expect(finding.kind === 'good' && Math.abs(finding.audio.durationSeconds! - 10_800)).toBeLessThan(0.5)
})

test('When a WAV of 3 GB is complete, then its audio is not read', async () => {
  writeFileSync(path, wav({ seconds: 0, dataSize: 3e9 }))
  truncateSync(path, 44 + 3e9)
  const { finding, bytesRead } = await inspect()
  expect(finding).toMatchObject({ kind: 'good', audio: { durationSeconds: 3e9 / 16_000 } })
  expect(bytesRead).toBeLessThan(4 * MB)
})

test('When a WAV of 1.8 GB is cut in the middle, then it is incomplete: its size is not a placeholder', async () => {
  writeFileSync(path, wav({ seconds: 0, dataSize: 1.8e9 }))
  truncateSync(path, 0.9e9)
  expect((await inspect()).finding).toMatchObject({ kind: 'incomplete', reason: expect.stringContaining('are missing') })
})

test('When 10,000 tags are before and after a recording, then the recording is found', async () => {
  const tags = repeat(id3v2(id3Text(50)), 10_000)
  const { finding } = await inspect(joined(tags, plain, tags))
  expect(finding).toMatchObject({ kind: 'good', audio: { durationSeconds: expect.closeTo(2.16, 5) } })
})

test('When files of the corpus are mutated, then there is a finding, never an error', async () => {
  await fc.assert(
    fc.asyncProperty(mutatedFiles(), async (bytes) => {
      const { finding, bytesRead } = await inspect(bytes)
      expect(JSON.stringify(finding)).not.toMatch(/NaN|Infinity|null|undefined/)
      expect(bytesRead).toBeLessThanOrEqual(bytes.length)
    }),
    { numRuns: 500 },
  )
})
