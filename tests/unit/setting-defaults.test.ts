import { expect, test } from '@jest/globals'
import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { readConfig, type Config } from '../../platform/config.ts'
import { MINIMAL } from '../support/settings.ts'

test('When a setting is not set, then its value is the one that a commented line of .env.example shows', () => {
  const example = readFileSync(new URL('../../.env.example', import.meta.url), 'utf8')
  const shown = [...example.matchAll(/^# ([A-Z][A-Z_]+)=(.+)$/gm)].map(([, name, value]) => ({ name: name as keyof Config, value }))
  // MINIMAL sets NODE_ENV; `production-rules.test.ts` is about its default.
  const others = shown.filter(({ name }) => name !== 'NODE_ENV')
  expect(others.length).toBeGreaterThan(40)
  const defaults = readConfig(MINIMAL)
  const differing = others.filter(({ name, value }) => !isDeepStrictEqual(readConfig({ ...MINIMAL, [name]: value })[name], defaults[name]))
  expect(differing).toEqual([])
})
