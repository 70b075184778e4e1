// Mutated files of the audio corpus: `FUZZ_AUDIO_FILES=100000 npm run fuzz -- audio.fuzz`.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { inspectOpened } from '../../recordings/audio/inspect.ts'
import { ForwardFile } from '../../recordings/audio/forward-file.ts'
import { mutatedFiles } from '../support/mutations.ts'

const FILES = Number(process.env.FUZZ_AUDIO_FILES ?? '5000')

let path: string
beforeAll(() => {
  path = join(mkdtempSync(join(tmpdir(), 'fuzz-')), 'file')
})
afterAll(() => rmSync(join(path, '..'), { recursive: true }))

test('When a file of the corpus is mutated, then the finding contains no invalid values, and no error is thrown', async () => {
  await fc.assert(
    fc.asyncProperty(mutatedFiles(), async (bytes) => {
      writeFileSync(path, bytes)
      const file = await ForwardFile.open(path)
      const finding = await inspectOpened(file).finally(() => file.close())
      expect(JSON.stringify(finding)).not.toMatch(/NaN|Infinity|null|undefined/)
      expect(file.bytesRead).toBeLessThanOrEqual(bytes.length)
    }),
    { numRuns: FILES },
  )
})
