// Each file that audio validation accepts has peaks of its whole duration. No file, however damaged, throws.
import { describe, expect, test } from '@jest/globals'
import { readFileSync } from 'node:fs'
import type { Expected } from '../corpus/expect.ts'
import { join } from '../corpus/bytes.ts'
import type { Recipe } from '../corpus/recipe.ts'
import { allRecipes, base } from '../corpus/recipes.ts'
import { peaksOf, pointsOf } from '../support/peaks.ts'

const decoders = JSON.parse(readFileSync(new URL('../corpus/expected.json', import.meta.url), 'utf8')) as Record<string, Expected>
const recipes = allRecipes()
const TOLERANCE_SECONDS = 0.2
/** Validation counts the duration of all parts. Players and peaks stop at the end of the first WAV, and skip a WAV behind an MP3. */
const WITH_WAV = /\.wav \+ | \+ pcm_s16le\.wav$/
const FREE_FORMAT = /^free-/

const isWhole = ({ name, truth }: Recipe): boolean => truth === 'complete' && !WITH_WAV.test(name) && !FREE_FORMAT.test(name)
const listed = (list: Recipe[]) => list.map((recipe) => [recipe.name, recipe] as const)

describe('When a file is complete, then its peaks last as long as independent decoders say:', () => {
  test.each(listed(recipes.filter(isWhole)))('%s', async (name, { file }) => {
    const result = await peaksOf(file)
    expect(result).toMatchObject({ kind: 'peaks' })
    const { seconds, channels } = decoders[name]!
    if (result.kind === 'none' || seconds === undefined) return
    expect(result.peaks.channels).toHaveLength(channels!)
    expect(Math.abs(result.peaks.durationSeconds - seconds)).toBeLessThanOrEqual(TOLERANCE_SECONDS)
    expect(Math.max(...result.peaks.channels.flatMap((points) => [...points]))).toBeGreaterThan(0)
  })
})

describe('When a WAV and another file are joined, then the peaks are those of the first:', () => {
  test.each(listed(recipes.filter(({ name }) => WITH_WAV.test(name))))('%s', async (name, { file }) => {
    const [first] = name.split(' + ')
    expect(await peaksOf(file)).toEqual(await peaksOf(base(first!)))
  })
})

test('When an MP3 is in free format, then there are no peaks, because the decoder would lose most of its audio', async () => {
  const reason = 'The MP3 is in free format, which the decoder does not support'
  for (const { name, file } of recipes.filter(({ name, truth }) => FREE_FORMAT.test(name) && truth === 'complete'))
    expect([name, await peaksOf(file)]).toEqual([name, { kind: 'none', reason }])
})

test('When the parts of a joined MP3 have other sample rates, then a point lasts as long in each of them', async () => {
  const [slow, fast] = [base('mono-8000.mp3'), base('mono-44100.mp3')]
  const seconds = async (file: Buffer): Promise<number> => {
    const result = await peaksOf(file)
    return result.kind === 'peaks' ? result.peaks.durationSeconds : 0
  }
  const [silent, all] = [await seconds(slow), await seconds(join(slow, fast))]
  expect(silent / all).toBeCloseTo(0.5, 1)
  // The end of the first part is at the same place of the waveform, whichever part comes first.
  for (const [first, second] of [
    [slow, fast],
    [fast, slow],
  ] as const) {
    const [alone] = pointsOf(await peaksOf(first))
    const [joined] = pointsOf(await peaksOf(join(first, second)))
    const place = (points: number[], share: number): number => points.indexOf(Math.max(...points)) / (points.length / share)
    expect(
      Math.abs(place(alone!, (await seconds(first)) / all) - place(joined!.slice(0, Math.round(joined!.length / 2)), 0.5)),
    ).toBeLessThan(0.02)
  }
})

describe('When a file is damaged, truncated or not audio, then there are peaks or a reason, and no error:', () => {
  test.each(listed(recipes.filter((recipe) => !isWhole(recipe))))('%s', async (_name, { file }) => {
    const result = await peaksOf(file, 1000)
    if (result.kind === 'none') expect(result.reason).not.toBe('')
    else expect(result.peaks.channels.every((points) => points.length > 0 && points.length <= 2000)).toBe(true)
  })
})

test('When a file is cut at any point, then there are peaks or a reason, and no error', async () => {
  const files = recipes.filter(({ name }) => ['lame-vbr.mp3', 'alaw-stereo.wav', 'rf64.wav', 'layer2.mp2'].includes(name))
  expect(files).toHaveLength(4)
  for (const { file } of files)
    for (let bytes = 0; bytes < file.length; bytes += Math.ceil(file.length / 60))
      expect((await peaksOf(file.subarray(0, bytes))).kind).toMatch(/^(peaks|none)$/)
})
