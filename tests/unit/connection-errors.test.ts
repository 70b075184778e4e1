// Errors of pg that have no SQLSTATE: the connection cannot be opened, breaks, or does not respond.
import { describe, expect, test } from '@jest/globals'
import { isDatabaseOutage } from '../../platform/database-errors.ts'

describe('When a connection fails, then the error is an outage:', () => {
  test.each(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN'])('%s', (code) => {
    const error = Object.assign(new Error('the system call failed'), { code })
    expect(isDatabaseOutage(error)).toBe(true)
    expect(isDatabaseOutage(new Error('The transaction failed', { cause: error }))).toBe(true)
  })

  test.each([
    'Connection terminated unexpectedly',
    'Connection terminated due to connection timeout',
    'timeout exceeded when trying to connect',
    'Query read timeout',
    'Client has encountered a connection error and is not queryable',
  ])('%s', (message) => {
    expect(isDatabaseOutage(new Error(message))).toBe(true)
  })
})

test.each([
  Object.assign(new Error('no such file'), { code: 'ENOENT' }),
  new TypeError('x is not a function', { cause: new Error('y') }),
  'a text',
  undefined,
])('When %p is thrown, which does not concern the connection, then it is not an outage', (error) => {
  expect(isDatabaseOutage(error)).toBe(false)
})
