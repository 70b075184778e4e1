// Each file that audio validation accepts has peaks of its whole duration. No file, however damaged, throws.
import { describe, expect, test } from '@jest/globals'
import { readFileSync } from 'node:fs'
import type { Expected } from '../corpus/expect.ts'
import { allRecipes } from '../corpus/recipes.ts'
import { peaksOf } from '../support/peaks.ts'

const decoders = JSON.parse(readFileSync(new URL('../corpus/expected.json', import.meta.url), 'utf8')) as Record<string, Expected>
const recipes = allRecipes()
const TOLERANCE_SECONDS = 0.2
/** Players and peaks stop at the end of the first WAV. Validation counts all of them. */
const FIRST_WAV_ONLY = /^pcm_\w+\.wav \+ /

describe('When a file is complete, then its peaks last as long as independent decoders say:', () => {
  const complete = recipes.filter(({ name, truth }) => truth === 'complete' && !FIRST_WAV_ONLY.test(name))
  test.each(complete.map((recipe) => [recipe.name, recipe] as const))('%s', async (name, { file }) => {
    const result = await peaksOf(file)
    expect(result).toMatchObject({ kind: 'peaks' })
    if (result.kind === 'none') return
    const { seconds, channels } = decoders[name]!
    expect(result.peaks.channels).toHaveLength(channels!)
    expect(Math.abs(result.peaks.durationSeconds - seconds!)).toBeLessThanOrEqual(TOLERANCE_SECONDS)
    expect(Math.max(...result.peaks.channels.flatMap((points) => [...points]))).toBeGreaterThan(0)
  })
})

describe('When a file is damaged, truncated or not audio, then there are peaks or a reason, and no error:', () => {
  const others = recipes.filter(({ name, truth }) => truth !== 'complete' || FIRST_WAV_ONLY.test(name))
  test.each(others.map((recipe) => [recipe.name, recipe] as const))('%s', async (_name, { file }) => {
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
