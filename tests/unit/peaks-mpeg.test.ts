// Peaks of MPEG audio. lame encoded tones.mp3 from a tone in each channel: the left one in the first second, the right one in the second.
import { describe, expect, test } from '@jest/globals'
import { MPEGDecoder } from 'mpg123-decoder'
import { base } from '../corpus/recipes.ts'
import { ape, id3Text, id3v1, id3v2, join, junk } from '../corpus/bytes.ts'
import { expectedPoints, greatestDifference, peaksOf, pointsOf, tone } from '../support/peaks.ts'

const RATE = 32_000
/** lame makes all samples this much quieter. */
const LAME_GAIN = 0.95
/** In steps of 1/255. */
const ENCODER_ERROR = 2
/** An encoder spreads the start and the end of a tone over some points. */
const EDGE_POINTS = 40

test('When an MP3 has a tone in each channel, then the peaks of each channel are those of its tone', async () => {
  const silence = Array.from({ length: RATE }, () => 0)
  const left = expectedPoints([...tone(1, { amplitude: 0.8 * LAME_GAIN, hertz: 1000, sampleRate: RATE }), ...silence])
  const right = expectedPoints([...silence, ...tone(1, { amplitude: 0.4 * LAME_GAIN, hertz: 440, sampleRate: RATE })])
  const result = await peaksOf(base('tones.mp3'))
  const [agent, customer] = pointsOf(result)
  for (const [points, expected] of [
    [agent!, left],
    [customer!, right],
  ] as const) {
    expect(points).toHaveLength(expected.length)
    const [start, middle, end] = [EDGE_POINTS, expected.length / 2, expected.length - EDGE_POINTS]
    const steady = (list: number[]): number[] => [...list.slice(start, middle - EDGE_POINTS), ...list.slice(middle + EDGE_POINTS, end)]
    expect(greatestDifference(steady(points), steady(expected))).toBeLessThanOrEqual(ENCODER_ERROR)
  }
  expect(result).toMatchObject({ peaks: { durationSeconds: 2 } })
})

test('When the bytes arrive in any pieces, then the peaks are those of the samples that the whole file decodes to', async () => {
  const file = base('tones.mp3')
  const decoder = new MPEGDecoder()
  await decoder.ready
  const { channelData, samplesDecoded, sampleRate } = decoder.decode(file)
  decoder.free()
  for (const pieceBytes of [file.length, 1000, 97]) {
    const result = await peaksOf(file, pieceBytes)
    expect(pointsOf(result)).toEqual(channelData.map((samples) => expectedPoints(samples)))
    expect(result).toMatchObject({ peaks: { durationSeconds: samplesDecoded / sampleRate } })
  }
})

test('When an MP3 is mono, then it has one channel', async () => {
  expect(pointsOf(await peaksOf(base('mono-8000.mp3')))).toHaveLength(1)
  expect(pointsOf(await peaksOf(base('stereo-44100.mp3')))).toHaveLength(2)
})

describe('When tags surround the audio of an MP3, then the peaks are the same:', () => {
  const audio = base('lame-plain.mp3')
  test.each([
    ['ID3v2 before it', join(id3v2(id3Text(5000)), audio)],
    ['a long picture before it', join(id3v2(junk(700_000)), audio)],
    ['ID3v1 and APE behind it', join(audio, ape(), id3v1())],
    ['zeros before it', join(Buffer.alloc(300_000), audio)],
  ])('%s', async (_what, file) => {
    const [alone] = pointsOf(await peaksOf(audio))
    const [surrounded] = pointsOf(await peaksOf(file, 5000))
    expect(surrounded).toEqual(alone)
  })
})

test('When bytes in the middle of an MP3 are damaged, then the audio around them has its peaks', async () => {
  const file = Buffer.from(base('tones.mp3'))
  const middle = Math.floor(file.length / 2)
  junk(3000).copy(file, middle)
  const [whole] = pointsOf(await peaksOf(base('tones.mp3')))
  const [damaged] = pointsOf(await peaksOf(file))
  expect(greatestDifference(damaged!.slice(EDGE_POINTS, 300), whole!.slice(EDGE_POINTS, 300))).toBe(0)
  expect(damaged!.length).toBeGreaterThan(whole!.length * 0.8)
})

describe('When a file has no audio that can be decoded, then there are no peaks, with a reason:', () => {
  test.each([
    ['an empty file', Buffer.alloc(0), 'No audio was found in the file'],
    ['a page', Buffer.from('<!doctype html><html><body>Not found</body></html>'), 'No audio was found in the file'],
    ['random bytes', junk(100_000), 'No audio was found in the file'],
    ['zeros', Buffer.alloc(1_000_000), 'No audio was found in the file'],
    ['a tag without audio', id3v2(id3Text(5000)), 'No audio was found in the file'],
    ['audio of another format', base('other.flac'), 'No audio was found in the file'],
  ])('%s', async (_what, file, reason) => {
    expect(await peaksOf(file)).toEqual({ kind: 'none', reason })
  })
})
