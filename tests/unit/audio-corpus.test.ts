// Compares the finding for each file of the corpus with the results of independent decoders: see tests/corpus/.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { Finding } from '../../recordings/audio/finding.ts'
import { inspectAudio } from '../../recordings/audio/inspect.ts'
import type { Expected } from '../corpus/expect.ts'
import type { Recipe, Truth } from '../corpus/recipe.ts'
import { allRecipes } from '../corpus/recipes.ts'

const TOLERANCE_SECONDS = 0.2
const CODECS: Record<string, string> = { pcm_s16le: 'pcm16', pcm_s24le: 'pcm24', pcm_u8: 'pcm', pcm_alaw: 'alaw', pcm_mulaw: 'ulaw' }
const KINDS: Record<Truth, Finding['kind']> = {
  complete: 'good',
  truncated: 'incomplete',
  undetectable: 'good',
  other: 'damaged',
  'not audio': 'none',
}

const decoders = JSON.parse(readFileSync(new URL('../corpus/expected.json', import.meta.url), 'utf8')) as Record<string, Expected>
const recipes = allRecipes()

let path: string
beforeAll(() => {
  path = join(mkdtempSync(join(tmpdir(), 'corpus-')), 'file')
})
afterAll(() => rmSync(join(path, '..'), { recursive: true }))

async function inspect({ file }: Recipe): Promise<Finding> {
  writeFileSync(path, file)
  return inspectAudio(path)
}

test('When the corpus is made, then expected.json has the values of exactly its files', () => {
  expect(recipes.map(({ name }) => name).toSorted()).toEqual(Object.keys(decoders).toSorted())
  expect(recipes.length).toBeGreaterThanOrEqual(150)
  expect(recipes.filter(({ name, truth }) => decoders[name]!.truth !== truth)).toEqual([])
})

describe.each(['complete', 'truncated', 'undetectable', 'other', 'not audio'] as const)(
  'When a file is %s, then its finding is of the expected kind:',
  (truth) => {
    test.each(recipes.filter((recipe) => recipe.truth === truth).map((recipe) => [recipe.name, recipe] as const))(
      '%s',
      async (name, recipe) => {
        const finding = await inspect(recipe)
        expect(finding).toMatchObject({ kind: KINDS[truth] })
        // Facts and sentences that no decoder returns. After an intended change, check the differences, then run this file with `-u`.
        expect(JSON.stringify(finding)).toMatchSnapshot()
        const { seconds, codec, sampleRate, channels } = decoders[name]!
        if (finding.kind === 'none' || seconds === undefined) return
        expect(finding.audio).toMatchObject({ codec: CODECS[codec!] ?? codec, sampleRate, channels })
        expect(Math.abs(finding.audio.durationSeconds! - seconds)).toBeLessThanOrEqual(TOLERANCE_SECONDS)
      },
    )
  },
)

test.each(
  recipes.filter(({ name }) => /^other\.(mp4|mkv|mka|avi|mpegts|ogg|flac)$/.test(name)).map((recipe) => [recipe.name, recipe] as const),
)('When a container of another format contains MP3 frames, then the container is not accepted: %s', async (_name, recipe) => {
  expect(await inspect(recipe)).toMatchObject({ kind: 'damaged', reason: expect.stringMatching(/^The format .+ is not accepted$/) })
})
