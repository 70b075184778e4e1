import { expect, test } from '@jest/globals'
import { fileURLToPath } from 'node:url'
import { mistakes } from '../mutants/list.ts'
import { faultsOf } from '../mutants/run.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

test('When the code changes, then the list of mistakes still matches it', () => {
  expect(faultsOf(mistakes, root)).toEqual([])
})

test('When a listed text occurs twice, or a file does not exist, then the list does not match the code', () => {
  const mistake = { breaks: 'x', file: 'tests/mutants/mistake.ts', text: 'string', replacement: 'number', tests: [], only: '.' }
  expect(faultsOf([mistake], root)).toEqual([expect.stringMatching(/^tests\/mutants\/mistake.ts contains "string" \d+ times, not once\.$/)])
  expect(faultsOf([{ ...mistake, text: 'relative to the project. */\n  file: string' }], root)).toEqual([])
  expect(faultsOf([{ ...mistake, tests: ['tests/none.test.ts'] }], root)).toEqual(['tests/none.test.ts does not exist.'])
})

test('When the same mistake is listed twice, then it is reported', () => {
  const mistake = {
    breaks: 'x',
    file: 'tests/mutants/mistake.ts',
    text: 'relative to the project. */',
    replacement: '',
    tests: [],
    only: '.',
  }
  expect(faultsOf([mistake, { ...mistake, breaks: 'y' }], root)).toEqual(['tests/mutants/mistake.ts: the mistake "y" is listed twice.'])
  expect(faultsOf([mistake, { ...mistake, replacement: '.' }], root)).toEqual([])
})
