import { expect, test } from '@jest/globals'
import { createStatementNames } from '../../platform/statement-names.ts'

test('When a statement is executed again, then it has the same name, and another statement has another name', () => {
  const nameOf = createStatementNames()
  const first = nameOf({ sql: 'SELECT 1' })
  expect(first).not.toBe('')
  expect(nameOf({ sql: 'SELECT 2' })).not.toBe(first)
  expect(nameOf({ sql: 'SELECT 1' })).toBe(first)
})

test('When there are thousands of statements, then only the first 300 are prepared', () => {
  const nameOf = createStatementNames()
  const names = Array.from({ length: 2000 }, (_, index) => nameOf({ sql: `SELECT ${index}` }))
  expect(new Set(names.filter((name) => name !== '')).size).toBe(300)
  expect(nameOf({ sql: 'SELECT 0' })).toBe(names[0])
})
