import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from '@jest/globals'

const folder = new URL('../../workflows/', import.meta.url)

/** The calls in this source text that start a timer, with their arguments. `condition` starts one only if it has a timeout. */
function timersIn(source: string): { call: string; args: string[] }[] {
  return [...source.matchAll(/\b(sleep|condition)(?:<[^>]*>)?\(/g)]
    .map(({ 0: start, 1: name, index }) => ({ name, args: argumentsFrom(source, index + start.length) }))
    .filter(({ name, args }) => name === 'sleep' || args.length > 1)
    .map(({ name, args }) => ({ call: `${name}(${args.join(', ')})`, args }))
}

/** Splits the arguments of a call at the commas outside brackets and texts. */
function argumentsFrom(source: string, start: number): string[] {
  const args = ['']
  let depth = 0
  for (const [token] of source.slice(start).matchAll(/'[^'\n]*'|"[^"\n]*"|`[^`]*`|[^]/g)) {
    if (/^[([{]$/.test(token)) depth += 1
    if (/^[)\]}]$/.test(token) && (depth -= 1) < 0) break
    if (token === ',' && depth === 0) args.push('')
    else args[args.length - 1] += token
  }
  return args.map((each) => each.trim()).filter((each) => each !== '')
}

const hasSummary = ({ args }: { args: string[] }): boolean => /^\{.*\bsummary:/s.test(args.at(-1)!)

test('When a workflow starts a timer, then the timer has a summary for Temporal’s Web UI', () => {
  const sources = readdirSync(folder).filter((name) => name.endsWith('.ts'))
  const timers = sources.flatMap((name) => timersIn(readFileSync(new URL(name, folder), 'utf8')).map((timer) => ({ name, ...timer })))
  expect(timers.length).toBeGreaterThan(2)
  expect(timers.filter((timer) => !hasSummary(timer))).toEqual([])
})

test.each([
  'sleep(5)',
  "sleep('1 minute')",
  'condition(() => isDone(a, b), ms)',
  "condition(() => { return states.includes(')') }, untilMs - Date.now())",
  'condition(\n  () => x,\n  1000,\n)',
  "condition(isDone, ms(summary, '{ summary: }'))",
])('When a timer has no summary, then it is found: %j', (source) => {
  expect(timersIn(`await ${source}; next()`).map(hasSummary)).toEqual([false])
})

test.each([
  "sleep(f(1, 2), { summary: 'x' })",
  'condition(() => f(), ms, { summary: `a, ${b}` })',
  'condition(isDone, ms, {\n  summary: text,\n})',
])('When a timer has a summary, then it is found: %j', (source) => {
  expect(timersIn(source).map(hasSummary)).toEqual([true])
})

test.each(['condition(isDone)', 'condition(() => f(1, 2))', 'condition(\n  () => [a, b].every(Boolean),\n)'])(
  'When a condition has no timeout, then it is not a timer: %j',
  (source) => {
    expect(timersIn(source)).toEqual([])
  },
)
