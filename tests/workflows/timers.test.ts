import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from '@jest/globals'

const folder = new URL('../../workflows/', import.meta.url)

test('When a workflow starts a timer, then the timer has a summary for Temporal’s Web UI', () => {
  const sources = readdirSync(folder).filter((name) => name.endsWith('.ts'))
  const timers = sources.flatMap((name) =>
    [...readFileSync(new URL(name, folder), 'utf8').matchAll(/\b(?:sleep\(.*|condition\([^()]*,.*)/g)].map(([call]) => `${name}: ${call}`),
  )
  expect(timers.length).toBeGreaterThan(2)
  expect(timers.filter((timer) => !timer.includes('{ summary:'))).toEqual([])
})
