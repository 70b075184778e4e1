// Peaks of WAVs of each encoding. ffmpeg and SoX wrote the files of the corpus from the same samples, so their peaks are known.
import { describe, expect, test } from '@jest/globals'
import { chunk } from '../support/audio.ts'
import { expectedPoints, greatestDifference, peaksOf, pointsOf, tone } from '../support/peaks.ts'
import { base } from '../corpus/recipes.ts'
import { join, junk, uint32le } from '../corpus/bytes.ts'

const PCM_HEADER_BYTES = 44
const RATE = 8000

/** The samples of the corpus's WAVs, read from its file of 16-bit PCM. */
function corpusSamples(): number[] {
  const data = base('pcm_s16le.wav').subarray(PCM_HEADER_BYTES)
  return Array.from({ length: data.length / 2 }, (_, at) => data.readInt16LE(2 * at) / 32768)
}

interface Encoding {
  tag: number
  bits: number
  write: (bytes: Buffer, sample: number, at: number) => void
  /** The greatest error of a point, in steps of 1/255. */
  tolerance: number
}
const scaled = (sample: number, bits: number): number =>
  Math.max(-(2 ** (bits - 1)), Math.min(2 ** (bits - 1) - 1, Math.round(sample * 2 ** (bits - 1))))
const ENCODINGS: Record<string, Encoding> = {
  'PCM of 8 bits': { tag: 1, bits: 8, write: (bytes, sample, at) => bytes.writeUInt8(scaled(sample, 8) + 128, at), tolerance: 2 },
  'PCM of 16 bits': { tag: 1, bits: 16, write: (bytes, sample, at) => bytes.writeInt16LE(scaled(sample, 16), at), tolerance: 1 },
  'PCM of 24 bits': { tag: 1, bits: 24, write: (bytes, sample, at) => bytes.writeIntLE(scaled(sample, 24), at, 3), tolerance: 1 },
  'PCM of 32 bits': { tag: 1, bits: 32, write: (bytes, sample, at) => bytes.writeInt32LE(scaled(sample, 32), at), tolerance: 1 },
  'floats of 32 bits': { tag: 3, bits: 32, write: (bytes, sample, at) => bytes.writeFloatLE(sample, at), tolerance: 1 },
  'floats of 64 bits': { tag: 3, bits: 64, write: (bytes, sample, at) => bytes.writeDoubleLE(sample, at), tolerance: 1 },
}

/** @param channels the samples of each channel */
function wavOf({ tag, bits, write }: Encoding, channels: number[][], sampleRate = RATE): Buffer {
  const sampleBytes = bits / 8
  const data = Buffer.alloc(channels[0]!.length * channels.length * sampleBytes)
  for (const [channel, samples] of channels.entries())
    for (const [at, sample] of samples.entries()) write(data, sample, (at * channels.length + channel) * sampleBytes)
  return riff(formatOf(tag, channels.length, sampleRate, bits), chunk('data', data))
}

function formatOf(tag: number, channels: number, sampleRate: number, bits: number): Buffer {
  const format = Buffer.alloc(16)
  format.writeUInt16LE(tag, 0)
  format.writeUInt16LE(channels, 2)
  format.writeUInt32LE(sampleRate, 4)
  format.writeUInt16LE(bits, 14)
  return chunk('fmt ', format)
}

function riff(...chunks: Buffer[]): Buffer {
  const body = join('WAVE', ...chunks)
  return join('RIFF', uint32le(body.length), body)
}

describe('When a WAV has samples of a known encoding, then each channel has its own peaks, however the bytes arrive:', () => {
  test.each(Object.entries(ENCODINGS))('%s', async (_name, encoding) => {
    // The agent is loud at first, the customer later.
    const left = [
      ...tone(1, { amplitude: 0.9, hertz: 440, sampleRate: RATE }),
      ...tone(1, { amplitude: 0.1, hertz: 440, sampleRate: RATE }),
    ]
    const right = [
      ...tone(1, { amplitude: 0.02, hertz: 300, sampleRate: RATE }),
      ...tone(1, { amplitude: 0.6, hertz: 300, sampleRate: RATE }),
    ]
    const file = wavOf(encoding, [left, right])
    for (const pieceBytes of [file.length, 4097, 7]) {
      const result = await peaksOf(file, pieceBytes)
      const [agent, customer] = pointsOf(result)
      expect(greatestDifference(agent!, expectedPoints(left))).toBeLessThanOrEqual(encoding.tolerance)
      expect(greatestDifference(customer!, expectedPoints(right))).toBeLessThanOrEqual(encoding.tolerance)
      expect(result).toMatchObject({ peaks: { durationSeconds: 2 } })
    }
  })
})

describe('When ffmpeg or SoX wrote the same samples in another encoding or container, then the peaks are the same:', () => {
  test.each([
    ['pcm_s16le.wav', 1, 0, 1],
    ['pcm_u8.wav', 1, 2, 1],
    ['pcm_s24le.wav', 1, 0, 1],
    ['pcm_alaw.wav', 1, 5, 1],
    ['pcm_mulaw.wav', 1, 5, 1],
    ['mulaw-stereo.wav', 2, 5, Math.SQRT1_2], // ffmpeg divides the power of one channel between two
    ['alaw-stereo.wav', 2, 5, 1],
    ['extensible-24.wav', 1, 1, 1],
    ['float.wav', 1, 0, 1],
    ['rf64.wav', 1, 0, 1],
    ['piped-ffmpeg.wav', 1, 0, 1],
    ['piped-sox.wav', 1, 0, 1],
  ])('%s', async (name, channels, tolerance, gain) => {
    const expected = expectedPoints(corpusSamples().map((sample) => sample * gain))
    const result = await peaksOf(base(name))
    const points = pointsOf(result)
    expect(points).toHaveLength(channels)
    for (const each of points) expect(greatestDifference(each, expected)).toBeLessThanOrEqual(tolerance)
    expect(result).toMatchObject({ peaks: { durationSeconds: corpusSamples().length / RATE } })
  })
})

describe('When a code of G.711 is decoded, then its sample is the one in the tables of the standard:', () => {
  const codes = Buffer.from(Array.from({ length: 256 }, (_, code) => code))
  const magnitudes = async (tag: number): Promise<number[]> => {
    const [points] = pointsOf(await peaksOf(riff(formatOf(tag, 1, RATE, 8), chunk('data', codes))))
    return points!
  }
  const byteOf = (sample: number): number => Math.round((255 * sample) / 32768)

  test('A-law', async () => {
    const points = await magnitudes(6)
    // Loudest, its half, quarter and so on; the two quietest codes.
    const table = { 0xaa: 32_256, 0x2a: 32_256, 0xba: 16_128, 0x8a: 8064, 0x9a: 4032, 0xea: 2016, 0xd5: 8, 0x55: 8 }
    for (const [code, sample] of Object.entries(table)) expect([code, points[Number(code)]]).toEqual([code, byteOf(sample)])
  })

  test('µ-law', async () => {
    const points = await magnitudes(7)
    const table = { 0x80: 32_124, 0x00: 32_124, 0x90: 15_996, 0xa0: 7932, 0xb0: 3900, 0xc0: 1884, 0xff: 0, 0x7f: 0 }
    for (const [code, sample] of Object.entries(table)) expect([code, points[Number(code)]]).toEqual([code, byteOf(sample)])
  })
})

test('When the last frame is incomplete, then it is ignored', async () => {
  const file = wavOf(ENCODINGS['PCM of 16 bits']!, [
    [0.5, 0.5],
    [0.25, 0.25],
  ])
  const cut = file.subarray(0, file.length - 3)
  expect(pointsOf(await peaksOf(cut))).toEqual([[128], [64]])
})

test('When a WAV has several parts of audio or other chunks around it, then the peaks are those of the first audio, like in players', async () => {
  const format = formatOf(1, 1, RATE, 16)
  const samples = (value: number): Buffer => Buffer.from(Int16Array.of(value, -value).buffer)
  const list = chunk('LIST', Buffer.from('INFOISFT\x05\0\0\0Lavf\0', 'latin1'))
  const file = riff(format, list, chunk('data', Buffer.alloc(0)), chunk('data', samples(16_384)), list, chunk('data', samples(32_767)))
  expect(pointsOf(await peaksOf(file))).toEqual([[128, 128]])
})

test('When bytes that are not audio precede the WAV, then they are skipped', async () => {
  const file = wavOf(ENCODINGS['PCM of 16 bits']!, [tone(1, { amplitude: 0.5, hertz: 440, sampleRate: RATE })])
  const [alone] = pointsOf(await peaksOf(file))
  const [behind] = pointsOf(await peaksOf(join(Buffer.alloc(300_000), junk(5000), file), 1000))
  expect(behind).toEqual(alone)
})

describe('When a WAV cannot be decoded, then there are no peaks, with a reason:', () => {
  const data = chunk('data', Buffer.alloc(4000, 1))
  const format = formatOf(1, 1, RATE, 16)
  test.each([
    [
      'its codec is not known',
      riff(formatOf(0x55, 1, RATE, 0), data),
      "The WAV's codec is not supported: format 0x55 with 0 bits per sample",
    ],
    [
      'the number of bits is not known',
      riff(formatOf(1, 1, RATE, 12), data),
      "The WAV's codec is not supported: format 0x1 with 12 bits per sample",
    ],
    ['it has three channels', riff(formatOf(1, 3, RATE, 16), data), 'The WAV has 3 channels'],
    ['it has no channels', riff(formatOf(1, 0, RATE, 16), data), 'The WAV has 0 channels'],
    ['its sample rate is 0', riff(formatOf(1, 1, 0, 16), data), 'The WAV has a sample rate of 0 Hz'],
    ['its format follows the audio', riff(data, format), 'The WAV has no description of its format before its audio'],
    ['its format is cut', riff(chunk('fmt ', Buffer.alloc(8)), data), 'The WAV has no description of its format before its audio'],
    ['it has no audio', riff(format), 'The WAV has no audio'],
    ['its audio is empty', riff(format, chunk('data', Buffer.alloc(0))), 'The WAV has no audio'],
    ['its audio is shorter than a frame', riff(format, chunk('data', Buffer.alloc(1))), 'The file has no audio that can be decoded'],
  ])('%s', async (_what, file, reason) => {
    expect(await peaksOf(file)).toEqual({ kind: 'none', reason })
  })
})
