import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { inspectAudio } from '../../recordings/audio/inspect.ts'
import { chunk, mp3, wav } from '../support/audio.ts'
import { sample } from '../support/samples.ts'

let folder: string
let files = 0
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'audio-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

function inspect(bytes: Buffer | string) {
  const path = join(folder, `file-${(files += 1)}`)
  writeFileSync(path, bytes)
  return inspectAudio(path)
}

describe('When a real recording is inspected, then it is good, and its facts are correct:', () => {
  test.each([
    ['agent-mulaw.wav', { contentType: 'audio/wav', extension: 'wav', codec: 'ulaw', sampleRate: 8000, channels: 1 }, 31.1],
    ['voicemail-pcm.wav', { contentType: 'audio/wav', extension: 'wav', codec: 'pcm16', sampleRate: 8000, channels: 1 }, 14.6],
    ['inbound-dual.mp3', { contentType: 'audio/mpeg', extension: 'mp3', codec: 'mp3', sampleRate: 16_000, channels: 2 }, 21.76],
    ['outbound-mono.mp3', { contentType: 'audio/mpeg', extension: 'mp3', codec: 'mp3', sampleRate: 8000, channels: 1 }, 73.5],
    ['short-vbr-id3.mp3', { contentType: 'audio/mpeg', extension: 'mp3', codec: 'mp3', sampleRate: 22_050, channels: 1 }, 5.7],
  ])('%s', async (name, facts, seconds) => {
    const finding = await inspectAudio(sample(name))
    expect(finding).toMatchObject({ kind: 'good', audio: facts })
    expect(finding.kind === 'good' && finding.audio.durationSeconds).toBeCloseTo(seconds, 1)
  })
})

describe('When a bad file is inspected, then the reason explains what is wrong:', () => {
  test.each([
    ['empty.mp3', 'none', /empty/],
    ['header-only.wav', 'incomplete', /before its audio|no audio/],
    ['login-page.mp3', 'none', /HTML page/],
    ['random.mp3', 'damaged', /No audio was found/],
    ['truncated.mp3', 'incomplete', /cut off: it announces 607 frames and has 201/],
    ['truncated.wav', 'incomplete', /cut off: 117154 of 234230 bytes/],
  ])('%s', async (name, kind, reason) => {
    const finding = await inspectAudio(sample(`bad/${name}`))
    expect(finding.kind).toBe(kind)
    expect('reason' in finding && finding.reason).toMatch(reason)
  })

  test.each([
    ['JSON', '{"RestException":{"Status":404}}', /JSON/],
    ['XML', '<?xml version="1.0"?><Error/>', /XML/],
    ['HTML after blanks and a byte order mark', '\uFEFF\n  <HTML><body>', /HTML/],
    ['a picture', Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'), /image\/png/],
    ['plain text', 'The recording is not available', /plain text/],
  ])('%s is not audio', async (_what, bytes, reason) => {
    const finding = await inspect(bytes)
    expect(finding.kind).toBe('none')
    expect('reason' in finding && finding.reason).toMatch(reason)
  })
})

describe('When a WAV is complete but has unusual headers, then it is good:', () => {
  const huge = wav({ riff: 'RF64', dataSize: 0xffffffff })
  huge.writeBigUInt64LE(2n ** 63n, 28)
  test.each([
    ['PCM 8', wav({ bits: 8 }), 2],
    ['PCM 24, stereo', wav({ bits: 24, channels: 2 }), 2],
    ['A-law', wav({ tag: 6, bits: 8 }), 2],
    ['µ-law, stereo, 16 kHz', wav({ tag: 7, bits: 8, channels: 2, sampleRate: 16_000 }), 2],
    ['extensible', wav({ extensible: true }), 2],
    ['RF64', wav({ riff: 'RF64', dataSize: 0xffffffff }), 2],
    ['streamed, size 0', wav({ dataSize: 0 }), 2],
    ['streamed, size 0xFFFFFFFF', wav({ dataSize: 0xffffffff }), 2],
    ['chunks before and after the audio', wav({ before: [chunk('LIST', Buffer.alloc(10))], after: [chunk('bext', Buffer.alloc(602))] }), 2],
    ['a chunk of odd size with padding', wav({ before: [chunk('LIST', Buffer.alloc(11))] }), 2],
    ['a chunk of odd size without padding', wav({ before: [chunk('LIST', Buffer.alloc(11), false)] }), 2],
    ['byte rate doubled', wav({ byteRate: 32_000, seconds: 20 }), 20],
    ['block align 0', wav({ blockAlign: 0 }), 2],
    ['RF64 that announces 2^63 bytes', huge, 2],
    ['a chunk before the audio that announces too much', wav({ before: [Buffer.from('LIST\xff\xff\xff\x0f', 'latin1')] }), 2],
  ])('%s', async (_how, bytes, seconds) => {
    const finding = await inspect(bytes)
    expect(finding.kind).toBe('good')
    expect(finding.kind === 'good' && finding.audio.durationSeconds).toBeCloseTo(seconds, 2)
  })
})

describe('When a WAV is incomplete or not accepted, then the reason says why, and its duration is a finite number:', () => {
  test.each([
    ['sample rate 0', wav({ sampleRate: 0, seconds: 0, after: [Buffer.alloc(100)], dataSize: 100 }), /sample rate is 0/],
    ['GSM', wav({ tag: 0x31, bits: 0, blockAlign: 65, after: [Buffer.alloc(6500)], dataSize: 6500 }), /codec is not accepted: format 0x31/],
    ['floating point', wav({ tag: 3, bits: 32 }), /codec is not accepted: format 0x3/],
    ['six channels', wav({ channels: 6 }), /6 channels/],
  ])('%s', async (_how, bytes, reason) => {
    const finding = await inspect(bytes)
    expect(finding.kind).toBe('damaged')
    expect('reason' in finding && finding.reason).toMatch(reason)
    const seconds = finding.kind === 'damaged' ? (finding.audio.durationSeconds ?? 0) : Number.NaN
    expect(Number.isFinite(seconds)).toBe(true)
  })

  test.each([
    ['32 kB that announce 10 MB', wav({ dataSize: 10_000_000 }), /cut off: 9968000 of 10000000/],
    ['A-law, 60 s in the fact chunk, 6 s of audio', wav({ tag: 6, bits: 8, seconds: 6, fact: 480_000 }), /announces 480000 samples/],
    [
      'µ-law, 10 % more in the fact chunk than the audio has',
      wav({ tag: 7, bits: 8, seconds: 10, fact: 88_000 }),
      /announces 88000 samples and has 80000/,
    ],
    ['an empty data chunk before another chunk', wav({ seconds: 0, after: [chunk('LIST', Buffer.alloc(10))] }), /no audio/],
  ])('%s', async (_how, bytes, reason) => {
    expect(await inspect(bytes)).toMatchObject({ kind: 'incomplete', reason: expect.stringMatching(reason) })
  })
})

describe('When an MP3 is complete, then it is good, with any bytes around its frames:', () => {
  test.each([
    ['MPEG-1, no header', mp3(), (50 * 1152) / 44_100],
    ['MPEG-2, stereo', mp3({ version: 2, channels: 2 }), (50 * 576) / 22_050],
    ['MPEG-2.5', mp3({ version: 2.5 }), (50 * 576) / 11_025],
    ['after an ID3 tag of 100 kB', mp3({ id3: 100_000 }), (50 * 1152) / 44_100],
    ['with Xing', mp3({ xingFrames: 50 }), (50 * 1152) / 44_100],
    ['with VBRI', mp3({ vbriFrames: 50 }), (50 * 1152) / 44_100],
    ['before an ID3v1 tag', mp3({ trailer: Buffer.concat([Buffer.from('TAG'), Buffer.alloc(125)]) }), (50 * 1152) / 44_100],
  ])('%s', async (_how, bytes, seconds) => {
    const finding = await inspect(bytes)
    expect(finding).toMatchObject({ kind: 'good' })
    expect(finding.kind === 'good' && finding.audio.durationSeconds).toBeCloseTo(seconds, 3)
  })
})

describe('When an MP3 is cut off, then it is incomplete:', () => {
  test.each([
    ['in the middle of a frame', mp3().subarray(0, -50), /middle of frame 50/],
    ['between frames, but Xing announced more', mp3({ frames: 30, xingFrames: 50 }), /announces 50 frames and has 30/],
    ['after 60 % of a real recording', readFileSync(sample('outbound-mono.mp3')).subarray(0, Math.floor(294_048 * 0.6)), /cut off/],
  ])('%s', async (_how, bytes, reason) => {
    const finding = await inspect(bytes)
    expect(finding.kind).toBe('incomplete')
    expect('reason' in finding && finding.reason).toMatch(reason)
  })

  test('but an MP3 with other bytes between its frames is good, with a remark', async () => {
    const bytes = Buffer.concat([mp3(), Buffer.alloc(500), mp3()])
    expect(await inspect(bytes)).toMatchObject({ kind: 'good', remark: expect.stringContaining('500 bytes') })
  })
})

describe('When a WAV cannot be read to its end, then it is incomplete:', () => {
  test.each([
    ['RF64 that ends within its ds64 chunk', Buffer.from('RF64\xff\xff\xff\xffWAVEds64\x1c\x00\x00', 'latin1')],
    [
      'RF64 with 15 of 16 bytes of ds64',
      Buffer.concat([Buffer.from('RF64\xff\xff\xff\xffWAVEds64\x1c\x00\x00\x00', 'latin1'), Buffer.alloc(15)]),
    ],
  ])('%s', async (_how, bytes) => {
    expect(await inspect(bytes)).toMatchObject({ kind: 'incomplete', audio: { extension: 'wav' }, reason: expect.any(String) })
  })

  test('but a WAV whose data chunk has another name is damaged', async () => {
    const renamed = Buffer.from(wav().toString('latin1').replace('data', 'dat\0'), 'latin1')
    expect(await inspect(renamed)).toMatchObject({ kind: 'damaged', audio: { extension: 'wav' } })
  })
})

test('When audio of another format is inspected, then it is damaged, with its content type', async () => {
  expect(await inspect(Buffer.concat([Buffer.from('OggS'), Buffer.alloc(24), Buffer.from('\x01vorbis'), Buffer.alloc(100)]))).toMatchObject(
    { kind: 'damaged', audio: { extension: 'ogg' } },
  )
  expect(await inspect(Buffer.concat([Buffer.from('fLaC'), Buffer.alloc(100)]))).toMatchObject({
    kind: 'damaged',
    audio: { contentType: 'audio/flac', extension: 'flac' },
  })
})
