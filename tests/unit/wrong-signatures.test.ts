import { afterEach, beforeEach, expect, jest, test } from '@jest/globals'
import { WrongSignatures } from '../../api/wrong-signatures.ts'

beforeEach(() => void jest.useFakeTimers())
afterEach(() => void jest.useRealTimers())

function withMany(address: string): WrongSignatures {
  const wrong = new WrongSignatures()
  for (let i = 0; i < 10; i += 1) wrong.add(address)
  return wrong
}

test('When a minute has passed since the first wrong signature of an address, then the count starts again', () => {
  const wrong = withMany('a')
  jest.advanceTimersByTime(59_000)
  expect(wrong.areManyFrom('a')).toBe(true)
  jest.advanceTimersByTime(1000)
  expect(wrong.areManyFrom('a')).toBe(false)
  wrong.add('a')
  expect(wrong.areManyFrom('a')).toBe(false)
})

test('When more addresses than the maximum send wrong signatures, then the oldest ones are removed', () => {
  const wrong = withMany('a')
  for (let i = 0; i < 9999; i += 1) wrong.add(`b${i}`)
  expect(wrong.areManyFrom('a')).toBe(true)
  wrong.add('c')
  expect(wrong.areManyFrom('a')).toBe(false)
})
