import { describe, expect, test } from '@jest/globals'
import { readFileSync, writeFileSync } from 'node:fs'
import { pino } from 'pino'
import { clientKey } from '../../platform/client-address.ts'
import { createRiseDetector } from '../../platform/heap-monitor.ts'
import { isPermanentMailError } from '../../platform/mailer.ts'
import { problem, PROBLEMS } from '../../platform/http-problems.ts'
import { retrying } from '../../platform/retry.ts'

const logger = pino({ level: 'silent' })

describe('Client addresses', () => {
  test.each([
    ['1.2.3.4', '1.2.3.4'],
    ['::ffff:1.2.3.4', '1.2.3.4'],
    ['::ffff:102:304', '1.2.3.4'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1::/48'],
    ['2001:db8:1:2::', '2001:db8:1::/48'],
    ['2001:db8:1:ffff::1', '2001:db8:1::/48'],
    ['2001:db8:2::1', '2001:db8:2::/48'],
    ['::1', '0:0:0::/48'],
    ['1.2.3.4:5678', '1.2.3.4'],
    ['[2001:db8::1]:443', '2001:db8:0::/48'],
  ])('When the address is %s, then its key is %s', (ip, key) => {
    expect(clientKey(ip, '9.9.9.9')).toBe(key)
  })

  test.each(['rubbish', '', undefined, '1.2.3.4.5', '<script>'])(
    'When the address from a proxy is %j, then the address of the socket is used',
    (ip) => {
      expect(clientKey(ip, '9.9.9.9')).toBe('9.9.9.9')
    },
  )

  test('When no address is known, then all such requests have the same key', () => {
    expect(clientKey(undefined, undefined)).toBe('unknown')
  })
})

describe('Retries', () => {
  const policy = { attempts: 3, firstMs: 1, maxMs: 2 }
  const failing = (failures: number, error: Error) => {
    let calls = 0
    return {
      call: async () => {
        calls += 1
        if (calls <= failures) throw error
        return 'done'
      },
      calls: () => calls,
    }
  }
  const passing = { what: 'test', isTransient: (error: unknown) => (error as Error).message === 'passes', logger }

  test('When a call fails with a transient error, then it is repeated', async () => {
    const work = failing(2, new Error('passes'))
    expect(await retrying(policy, passing, work.call)).toBe('done')
    expect(work.calls()).toBe(3)
  })

  test('When all attempts fail, then the last error is thrown', async () => {
    const work = failing(9, new Error('passes'))
    await expect(retrying(policy, passing, work.call)).rejects.toThrow('passes')
    expect(work.calls()).toBe(3)
  })

  test('When a call fails with a permanent error, then it is not repeated', async () => {
    const work = failing(9, new Error('stays'))
    await expect(retrying(policy, passing, work.call)).rejects.toThrow('stays')
    expect(work.calls()).toBe(1)
  })

  test.each([
    [{ code: 'ECONNECTION' }, false],
    [{ code: 'ETIMEDOUT' }, false],
    [{ code: 'EENVELOPE', responseCode: 451 }, false],
    [{ code: 'EENVELOPE', responseCode: 550, command: 'RCPT TO', response: '550 5.1.1 No such user' }, true],
    [{ code: 'EENVELOPE', responseCode: 550, command: 'MAIL FROM', response: '550 5.1.1 No such user' }, false],
    [{ code: 'EMESSAGE', responseCode: 554, command: 'DATA', response: '554 5.2.1 Refused' }, false],
    [{ code: 'EAUTH', responseCode: 535 }, false],
    [{}, false],
  ])('When a mail fails with %j, then the error is permanent: %s', (error, permanent) => {
    expect(isPermanentMailError(error)).toBe(permanent)
  })
})

describe('Leak detection', () => {
  const MB = 1024 ** 2
  const last = (...windows: number[]) => {
    const detector = createRiseDetector()
    return windows.map((mb) => detector.add(mb * MB)).at(-1)
  }
  test.each([
    ['rises without a break', [100, 110, 120, 130, 140, 150], true],
    ['rises slightly', [100, 101, 102, 103, 104, 105], false],
    ['rises with small falls in between', [100, 110, 105, 140, 130, 150], true],
    ['jumps up and down', [100, 150, 100, 150, 100, 150], false],
    ['has risen for less than an hour', [100, 120, 140], false],
    ['does not change', [100, 100, 100, 100, 100, 100], false],
    ['rises again after a fall', [300, 200, 100, 110, 120, 150, 160, 170], true],
  ])('When the heap %s, then a leak is reported: %s', (_how, windows, rising) => {
    expect(last(...windows)).toBe(rising)
  })
})

describe('Problems', () => {
  test('When a problem is created, then its JSON has the members of RFC 9457 and a code', () => {
    expect(problem('rate_limited', 'Try again in 7 s', { 'Retry-After': '7' }).toJSON()).toEqual({
      type: 'about:blank',
      title: 'Too many requests',
      status: 429,
      code: 'rate_limited',
      detail: 'Try again in 7 s',
    })
  })

  test('When a code is added, then docs/errors.md contains it (WRITE_DOCS=1 npm test -- unit/platform writes the file)', () => {
    const path = new URL('../../docs/errors.md', import.meta.url)
    const rows = Object.entries(PROBLEMS).map(
      ([code, [status, title]]) => `| ${`\`${code}\``.padEnd(27)} | ${status}    | ${title.padEnd(68)} |`,
    )
    const table = [
      '# Errors',
      '',
      'Every error is `application/problem+json` (RFC 9457): `type`, `title`, `status`, `code`, `detail`, `requestId`, and `errors` (`field`, `message`)',
      'if fields are invalid. Programs should evaluate `code`: its meaning never changes. This table is generated from `platform/http-problems.ts`.',
      '',
      `| code${' '.repeat(24)}| status | title${' '.repeat(64)}|`,
      `| ${'-'.repeat(27)} | ------ | ${'-'.repeat(68)} |`,
      ...rows,
      '',
      'A deactivated account gets the errors of an account that does not exist and of a session that has ended: `invalid_credentials` at a login,',
      '`refresh_token_invalid` at a refresh, and `not_authenticated` for a request that needs an access token.',
      '',
    ].join('\n')
    if (process.env.WRITE_DOCS) writeFileSync(path, table)
    expect(readFileSync(path, 'utf8')).toBe(table)
  })
})
