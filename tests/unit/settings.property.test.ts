// Invalid and unusual values of every type for every setting. The result is either an error that names the setting and contains no
// value, or a usable value. This file defines usable values independently of the schema.
import { isIP } from 'node:net'
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { BadConfiguration, readConfig, type Config } from '../../platform/config.ts'
import { EVERY_SETTING, MINIMAL } from '../support/settings.ts'

const MARKER = 'hidden-value'
/** Node fires a longer timer at once. */
const MAX_TIMER_MS = 2 ** 31 - 1
/** Temporal and PostgreSQL use 32-bit integers. */
const MAX_COUNT = 2 ** 31 - 1
const MAX_DATE_MS = 8.64e15
const DAY_MS = 86_400_000

const NUMBERS = `0 -1 -0 1 0.5 1.5 00 007 1e3 1e-300 1e309 5e-324 0x10 0b1 NaN Infinity -Infinity 2147483647 2147483648 4294967296
  3000000000 9007199254740993 99999999999999999999 1,5 1_000 ١٢ + - . , ,, 1, ,1 1,2 0,0 Infinity,1 1,NaN -1,-2`.split(/\s+/)
const ADDRESSES = `localhost localhost:7070 127.0.0.1 127.0.0.1:1 [::1]:80 :: 0 1 1,2 999.1.1.1 10.0.0.0/33 10.0.0.0/8 ::/129 1/8 0x7f.1
  host:99999 host:-1 *.exotel.com *. * .com a..b -a.b exotel.com. [::1] :80 /path ? # @`.split(/\s+/)
const URLS = [
  ...'http://x https://x ws://x s3://bucket ftp://x file:///etc/passwd javascript:alert(1) http: http:// https:x'.split(' '),
  ...'https://x?y https://x#y https://x? https://x# https://user:pw@x https://x:99999 https://x/%zz https://[::1]:8 http://x/a/'.split(' '),
  ...'postgres://x postgresql://x/y mysql://x/y postgresql://u:%zz@x/y postgresql:x postgresql:///y?host=/s /var/run/y x=y'.split(' '),
  ...'smtp://x smtps://x?y=z smtp: smtp://u:%zz@x smtp://x:99999 http://x\ny https://x\t'.split(' '),
]
const TEXTS = [
  ' ',
  '\n',
  'a\nb',
  'a\u0000b',
  'a b',
  'true',
  'TRUE',
  'yes',
  'null',
  'undefined',
  '[object Object]',
  '{}',
  '[]',
  ',',
  ' , ',
  'é',
  '😀',
]
const DATES = ['2026-06-01', '2026-02-30', '0000-00-00', '9999-12-31', '10000-01-01', '01.06.2026', 'today']
const KNOWN = [...NUMBERS, ...ADDRESSES, ...URLS, ...TEXTS, ...DATES]

const absurd = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom(...KNOWN) },
  { weight: 2, arbitrary: fc.constantFrom(...KNOWN).map((value) => `${value}${MARKER}`) },
  { weight: 1, arbitrary: fc.double().map(String) },
  { weight: 1, arbitrary: fc.bigInt().map(String) },
  { weight: 1, arbitrary: fc.array(fc.constantFrom(...KNOWN), { maxLength: 4 }).map((values) => values.join()) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 20 }).map((value) => `${MARKER}${value}`) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 20_000 }).map((length) => `${MARKER}${'x'.repeat(length)}`) },
)

type Check = (value: never, config: Config) => boolean
const number =
  (min: number, max: number): Check =>
  (value) =>
    typeof value === 'number' && value >= min && value <= max
const whole =
  (min: number, max: number): Check =>
  (value, config) =>
    Number.isInteger(value) && number(min, max)(value, config)
/** Anything except characters that would break a header, a path or a line. */
const printable: Check = (value: string) => /^\P{Cc}+$/u.test(value) && value.length <= 10_000
const secret: Check = (value: string) => /^[\u0020-\u007e]+$/.test(value) && value.length <= 10_000
const days: Check = whole(1, (MAX_DATE_MS - Date.now()) / DAY_MS / 2)
const minutes: Check = number(1 / 60_000, MAX_DATE_MS / 2 / 60_000)
const httpUrl: Check = (value: string) => /^https?:\/\/[^/?#@\s]+(\/[^?#\s]*)?$/.test(value) && URL.canParse(value) && !value.endsWith('/')
const postgresUrl: Check = (value: string) => {
  const { protocol, username, password, pathname } = new URL(value)
  return /^postgres(ql)?:$/.test(protocol) && [username, password, pathname].every((each) => decodeURIComponent(each) !== undefined)
}
const range: Check = (value: string) => isIP(value.replace(/\/\d+$/, '')) !== 0
const listOf =
  (check: Check): Check =>
  (values: never[], config) =>
    values.length > 0 && values.every((each) => check(each, config))
const oneOf =
  (...values: unknown[]): Check =>
  (value) =>
    values.includes(value)
const flag = oneOf(true, false)
const pauses =
  (kind: 'OUTAGE' | 'RELAY' | 'DATABASE' | 'MAIL'): Check =>
  (_value, config) => {
    const [first, max] = [config[`RETRY_${kind}_FIRST_SECONDS`], config[`RETRY_${kind}_MAX_SECONDS`]]
    return first >= 0.001 && first <= max && max * 1000 <= MAX_TIMER_MS
  }
const count = whole(1, MAX_COUNT)

const USABLE: Record<string, Check> = {
  NODE_ENV: oneOf('development', 'test', 'production'),
  ALLOW_OLD_NODE: flag,
  NODE_TLS_REJECT_UNAUTHORIZED: oneOf('0', '1'),
  LOG_LEVEL: oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
  LOG_FILE: printable,
  HOST: (value: string) => isIP(value) !== 0,
  OPERATIONS_HOST: (value: string) => isIP(value) !== 0,
  PORT: whole(0, 65_535),
  OPERATIONS_PORT: whole(0, 65_535),
  TRUST_PROXY: (value: unknown, config) =>
    value === false ||
    whole(0, 100)(value as never, config) ||
    (Array.isArray(value) &&
      listOf((each: string) => /^(loopback|linklocal|uniquelocal)$/.test(each) || range(each as never, config))(value as never, config)),
  SERVE_DOCS: flag,
  SHUTDOWN_GRACE_SECONDS: whole(1, MAX_TIMER_MS / 1000 - 60),
  DEV_TEST_TOKEN: secret,
  DATABASE_URL: postgresUrl,
  MIGRATION_DATABASE_URL: postgresUrl,
  DATABASE_POOL_SIZE: whole(1, 10_000),
  TEMPORAL_ADDRESS: (value: string) => /^([\w.-]+|\[[\da-f:.]+\])(:\d{1,5})?$/i.test(value) && URL.canParse(`http://${value}`),
  TEMPORAL_NAMESPACE: (value: string) => /^[\w.-]{1,255}$/.test(value),
  TEMPORAL_API_KEY: secret,
  TEMPORAL_TLS: flag,
  TEMPORAL_UI_URL: httpUrl,
  WASABI_ENDPOINT: httpUrl,
  WASABI_REGION: (value: string) => /^[a-z0-9-]{1,64}$/.test(value),
  WASABI_BUCKET: (value: string) => /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(value),
  WASABI_ACCESS_KEY: secret,
  WASABI_SECRET_KEY: secret,
  EXOTEL_WEBHOOK_SECRET: listOf(printable),
  EXOTEL_WEBHOOK_BASIC: (value: string, config) => value.indexOf(':') > 0 && printable(value as never, config),
  EXOTEL_WEBHOOK_TOKEN: printable,
  EXOTEL_WEBHOOK_ADDRESSES: listOf(range),
  EXOTEL_WEBHOOK_TIMESTAMP: oneOf('enforce', 'log'),
  EXOTEL_API_BASE_URL: httpUrl,
  EXOTEL_ACCOUNT_SID: (value: string) => /^[\w.~-]+$/.test(value),
  EXOTEL_API_KEY: secret,
  EXOTEL_API_TOKEN: secret,
  EXOTEL_RECORDING_HOSTS: listOf((value: string) => /^(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*(:\d+)?$/i.test(value)),
  EXOTEL_PUBLIC_RECORDING_HOSTS: listOf((value: string) => /^(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*(:\d+)?$/i.test(value)),
  EXOTEL_ALLOW_LOCAL: flag,
  EXOTEL_RETENTION_DAYS: days,
  REGISTRATION: oneOf('open', 'invite', 'closed'),
  SESSION_DAYS: days,
  SESSION_IDLE_DAYS: days,
  PUBLIC_URL: httpUrl,
  SMTP_URL: (value: string) => {
    const { protocol, hostname, username, password } = new URL(value)
    return /^smtps?:$/.test(protocol) && hostname !== '' && decodeURIComponent(username + password) !== undefined
  },
  MAIL_FROM: (value: string) => /^[^\s@<>]+@[^\s@<>]+$|^[^<>\r\n]*<[^\s@<>]+@[^\s@<>]+>$/.test(value) && value.length <= 1000,
  MAIL_DIRECTORY: printable,
  RATE_LIMIT_LOGIN: count,
  RATE_LIMIT_REGISTRATION: count,
  RATE_LIMIT_FORGOT: count,
  RATE_LIMIT_GENERAL: count,
  RATE_LIMIT_MAILS: count,
  RATE_LIMIT_FAILURES: (value: number, config) => count((value * 4) as never, config),
  SESSION_CLEANUP_EVERY_MINUTES: minutes,
  WEBHOOK_BODY_DAYS: days,
  RETRY_RECORDING_TRIES: whole(1, 1000),
  RETRY_OUTAGE_FIRST_SECONDS: pauses('OUTAGE'),
  RETRY_OUTAGE_MAX_SECONDS: pauses('OUTAGE'),
  RETRY_RELAY_FIRST_SECONDS: pauses('RELAY'),
  RETRY_RELAY_MAX_SECONDS: pauses('RELAY'),
  RETRY_DATABASE_ATTEMPTS: whole(1, 1000),
  RETRY_DATABASE_FIRST_SECONDS: pauses('DATABASE'),
  RETRY_DATABASE_MAX_SECONDS: pauses('DATABASE'),
  RETRY_MAIL_FIRST_SECONDS: pauses('MAIL'),
  RETRY_MAIL_MAX_SECONDS: pauses('MAIL'),
  RECORDING_WAIT_SCALE: number(0.0001, 1),
  RECORDING_MAX_BYTES: whole(1, 5 * 1024 ** 4),
  RECORDING_FAST_PATH_MAX_BYTES: whole(0, 64 * 1024 ** 2),
  RECORDING_EXPECTED_FROM_SECONDS: count,
  RECOVERY_EVERY_MINUTES: minutes,
  RECOVERY_PAUSES_MINUTES: listOf(minutes),
  RECOVERY_FOR_DAYS: days,
  RECOVERY_PER_PASS: whole(1, 100_000),
  RECONCILE_EVERY_MINUTES: minutes,
  LINK_SWEEP_EVERY_MINUTES: minutes,
  PEAKS_EVERY_MINUTES: minutes,
  RECONCILE_BACKFILL_FROM: (value: string) => !Number.isNaN(Date.parse(value)),
  SPOOL_DIRECTORY: printable,
  SPOOL_MAX_BYTES: whole(1, Number.MAX_SAFE_INTEGER),
  SPOOL_MIN_FREE_BYTES: whole(1, Number.MAX_SAFE_INTEGER),
  SPOOL_LOST_AFTER_SECONDS: whole(1, MAX_TIMER_MS / 1000),
  WORKER_NAME: (value: string) => /^[\w.-]{1,255}$/.test(value),
  WORKER_DOWNLOADS: whole(1, 10_000),
  WORKER_UPLOADS: whole(1, 10_000),
}

test('When a setting exists, then this test defines its usable values', () => {
  expect(Object.keys(USABLE).toSorted()).toEqual(Object.keys(readConfig(EVERY_SETTING)).toSorted())
})

test.each(Object.keys(USABLE))('When %s has any value, then the error names it, or the value is usable', (name) => {
  const judge = (value: string): void => {
    if (value.trim() === '') return // an empty variable counts as unset
    let config: Config
    try {
      config = readConfig({ ...MINIMAL, PUBLIC_URL: 'https://calls.example.com', [name]: value })
    } catch (error) {
      expect(error).toBeInstanceOf(BadConfiguration)
      expect((error as Error).message).toContain(name)
      expect((error as Error).message).not.toContain(MARKER)
      expect((error as Error).message.length).toBeLessThan(600)
      return
    }
    const read = config[name as keyof Config]
    if (USABLE[name]!(read as never, config)) return
    throw new Error(`${name}=${JSON.stringify(value)} was read as ${JSON.stringify(read)}`)
  }
  for (const value of KNOWN) judge(value)
  fc.assert(fc.property(absurd, judge), { numRuns: 100 })
})
