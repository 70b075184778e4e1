import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { BadConfiguration, readConfig } from '../../platform/config.ts'
import { redact } from '../../platform/redact.ts'
import { PRODUCTION } from '../support/production.ts'
import { EVERY_SETTING, MINIMAL } from '../support/settings.ts'

test('When only settings without a default are set, then the other settings have their defaults', () => {
  expect(readConfig(MINIMAL)).toMatchObject({
    NODE_ENV: 'development',
    PORT: 3000,
    WASABI_ENDPOINT: 'https://s3.ap-southeast-1.wasabisys.com',
    EXOTEL_RECORDING_HOSTS: ['*.exotel.com', '*.exotel.in'],
    EXOTEL_WEBHOOK_SECRET: [],
    RECORDING_WAIT_SCALE: 1,
    TRUST_PROXY: false,
    LOG_FILE: 'logs/app.log',
  })
})

test('When settings are missing or wrong, then the message names each of them and contains no value', () => {
  const read = () => readConfig({ ...MINIMAL, DATABASE_URL: ' ', PORT: 'secret-port', EXOTEL_WEBHOOK_ADDRESSES: '10.0.0.0/99' })
  expect(read).toThrow(BadConfiguration)
  expect(read).toThrow(/DATABASE_URL is missing/)
  expect(read).toThrow(/PORT/)
  expect(read).toThrow(/EXOTEL_WEBHOOK_ADDRESSES must be IP addresses/)
  expect(read).not.toThrow(/secret-port/)
})

test('When several webhook secrets are set, then they are read as a list', () => {
  expect(readConfig({ ...MINIMAL, EXOTEL_WEBHOOK_SECRET: ' a , b ' }).EXOTEL_WEBHOOK_SECRET).toEqual(['a', 'b'])
})

test('When a setting exists, then .env.example has a line for it, and no lines for other names', () => {
  const example = readFileSync(new URL('../../.env.example', import.meta.url), 'utf8')
  const explained = [...example.matchAll(/^#? ?([A-Z][A-Z_]+)=/gm)].map(([, name]) => name)
  expect(explained.toSorted()).toEqual(Object.keys(readConfig(EVERY_SETTING)).toSorted())
})

test('When the disk of the log file is full, then the process continues', () => {
  const script = `import('./platform/logger.ts').then(async ({ createLogger }) => {
    const logger = createLogger({ level: 'info', file: '/dev/full', name: 'x' })
    for (let i = 0; i < 20; i += 1) { logger.info('line'); await new Promise((resolve) => setTimeout(resolve, 10)) }
    logger.info('still here')
    process.exit(0)
  })`
  expect(
    execFileSync(process.execPath, ['--import', 'tsx', '-e', script], {
      encoding: 'utf8',
      timeout: 20_000,
      stdio: ['ignore', 'pipe', 'ignore'],
    }),
  ).toContain('still here')
})

test('When a log file is set, then it has the same lines as stdout', () => {
  const folder = mkdtempSync(join(tmpdir(), 'log-'))
  const file = join(folder, 'deep', 'app.log')
  const script = `import('./platform/logger.ts').then(async ({ createLogger }) => {
    createLogger({ level: 'info', file: ${JSON.stringify(file)}, name: 'x' }).info({ email: 'a@example.com' }, 'Recording line')
  })`
  try {
    const stdout = execFileSync(process.execPath, ['--import', 'tsx', '-e', script], { encoding: 'utf8', timeout: 20_000 })
    expect(readFileSync(file, 'utf8')).toBe(stdout)
    expect(JSON.parse(stdout)).toMatchObject({ msg: 'Recording line', email: '[secret]' })
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test.each([
  ['call from 09876543210 to +919876543210', 'call from [number] to [number]'],
  [['GET https://key:token', 'api.exotel.com/v1?x=1 failed'].join('@'), 'GET https://api.exotel.com/v1 failed'],
  ['550 no mailbox some.body+x@mail.example.co.in here', '550 no mailbox [e-mail] here'],
  [`Bearer ${['eyJhbGciOiJIUzI1NiJ9', 'eyJzdWIiOiIxIn0', 'c2lnbmF0dXJl'].join('.')} refused`, 'Bearer [token] refused'],
  ['smtp://user:pa@ss@host refuses', 'smtp://host refuses'],
  ['/reset-password#token=abcdef and ?token=xyz&a=1', '/reset-password#token=[secret] and ?token=[secret]&a=1'],
  ['Authorization: Basic dXNlcjpwYXNzd29yZA==', 'Authorization: Basic [secret]'],
  [`token ${'0'.repeat(16)}.${'x'.repeat(43)} reused`, 'token [token] reused'],
  [`signature ${'0a'.repeat(20)} is wrong`, 'signature [signature] is wrong'],
  ['call +91 98765 43210 on 2026-11-26 06:12', 'call [number] on 2026-11-26 06:12'],
  // Phone numbers as people and providers write them.
  ['call (022) 4567-8901', 'call [number]'],
  ['from 098765-43210, to 98765 43210', 'from [number], to [number]'],
  ['+91-98765-43210 and +91 (987) 654-3210', '[number] and [number]'],
  ['(415) 555-2671; 080 4567 8901; 91 9876543210', '[number]; [number]; [number]'],
  ['+91(0)22 2345 6789 or 98\u00a0765\u201343210', '[number] or [number]'],
  ['9876543210 9876543211 98765 43212', '[number]'],
  ['try 1 2 3 98765 43210', 'try 1 2 [number]'],
  ['From=%2B919876543210&To=9876543210', 'From=[number]&To=[number]'],
  ['tel:+919876543210', 'tel:[number]'],
  // Numbers in our own messages.
  ['longer than the limit of 6442450944 bytes', 'longer than the limit of 6442450944 bytes'],
  ['has 6442450945 bytes, more than the limit of 6442450944', 'has 6442450945 bytes, more than the limit of 6442450944'],
  ['has 6442450945 bytes, not 6442450944', 'has 6442450945 bytes, not 6442450944'],
  ['reserved 21474836480 of 21474836480 bytes', 'reserved 21474836480 of 21474836480 bytes'],
  ['range bytes 1048576-2097151/6442450944 in 1234567890 ms', 'range bytes 1048576-2097151/6442450944 in 1234567890 ms'],
  ['connect ECONNREFUSED 127.0.0.1:5432 after 3 of 10 attempts', 'connect ECONNREFUSED 127.0.0.1:5432 after 3 of 10 attempts'],
  ['1234567890-0af1 at 20261126061233 is 12345678901234567890', '1234567890-0af1 at 20261126061233 is 12345678901234567890'],
  ['attempts 1 2 3 4 5 6 7 8 9 10 11', 'attempts 1 2 3 4 5 6 7 8 9 10 11'],
  ['12345678-1234-1234-1234-123456789012 is unknown', '12345678-1234-1234-1234-123456789012 is unknown'],
  ['2026-11-26 06:12:33 and 2026-11-26T06:12:33.123Z', '2026-11-26 06:12:33 and 2026-11-26T06:12:33.123Z'],
  // Parameters of signed links, anywhere in a text.
  ['X-Amz-Signature=0af1 and X-Amz-Credential=AKIA/2026', 'X-Amz-Signature=[secret] and X-Amz-Credential=[secret]'],
  ['Credential=AKIA/20261126, Signature=0af1', 'Credential=[secret], Signature=[secret]'],
  ['"X-Amz-Security-Token=abc" (Signature=x~y_) api_key=k', '"X-Amz-Security-Token=[secret]" (Signature=[secret]) api_key=[secret]'],
  ['AWSAccessKeyId=AKIA&Policy=eyJ&Key-Pair-Id=K2', 'AWSAccessKeyId=[secret]&Policy=[secret]&Key-Pair-Id=[secret]'],
  ['X-Amz-Signature%3D0af1%26a=1', 'X-Amz-Signature%3D[secret]'],
  ['monkey=1 tokens=5 keys=3', 'monkey=1 tokens=5 keys=3'],
  ['at @prisma/client@7.10.0/runtime.js:12:3', 'at @prisma/client@7.10.0/runtime.js:12:3'],
  ['CallSid 80bfbec2d78bbbf10fb851f4fa165211', 'CallSid 80bfbec2d78bbbf10fb851f4fa165211'],
])('When the text is "%s", then it is redacted to "%s"', (text, expected) => {
  expect(redact(text)).toBe(expected)
})

test('When a text is too long, then it is cut, and no part of a secret remains at the cut', () => {
  const secret = 'https://s.exotel.com/1.mp3?Signature=abcdef'
  for (const filler of ['word ', 'a', 'a://', 'eyJ-', 'http://', '+91 98765 43210 ', 'x@', 'Bearer ', '(', '1-', '12 ', '%2B1', 'X-Amz-']) {
    for (let before = 8150; before < 8200; before += 1) {
      const redacted = redact(`${filler.repeat(9000).slice(0, before)} call +91 98765 43210 to 9876543210 ${secret} ${'b '.repeat(30_000)}`)
      expect(redacted.length).toBeLessThan(8300)
      expect(redacted).toMatch(/characters left out\]$/)
      expect(redacted).not.toMatch(/98765|43210|Signature/)
    }
  }
})

test('When a secret follows text that only looks like a secret, then it is still removed', () => {
  expect(redact('http://a http://b/http://c?token=1 x-eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln')).toBe(
    'http://a http://b/http://c x-[token]',
  )
  expect(redact('a://b://user:pw@host')).toBe('a://b://host')
  expect(redact(`user_${'a'.repeat(2000)}://user:pw@host`)).not.toContain('pw')
})

test('When nothing else is set, then only production listens on all addresses, and only development serves /docs', () => {
  const production = { ...MINIMAL, ...PRODUCTION }
  for (const NODE_ENV of ['development', 'test'])
    expect(readConfig({ ...MINIMAL, NODE_ENV })).toMatchObject({ HOST: '127.0.0.1', OPERATIONS_HOST: '127.0.0.1', SERVE_DOCS: true })
  expect(readConfig(production)).toMatchObject({ HOST: '::', OPERATIONS_HOST: '::', SERVE_DOCS: false })
  expect(readConfig({ ...production, HOST: '10.0.0.5', OPERATIONS_HOST: '127.0.0.1', SERVE_DOCS: 'true' })).toMatchObject({
    HOST: '10.0.0.5',
    OPERATIONS_HOST: '127.0.0.1',
    SERVE_DOCS: true,
  })
  expect(() => readConfig({ ...MINIMAL, HOST: 'example.com' })).toThrow(/HOST must be an IP address/)
})

test('When SMTP_URL is set without PUBLIC_URL, then the process does not start', () => {
  expect(() => readConfig({ ...MINIMAL, SMTP_URL: 'smtp://localhost' })).toThrow(/PUBLIC_URL is missing/)
})

test('When registration is open in production but SMTP_URL is not set, then the process does not start', () => {
  const production = { ...MINIMAL, ...PRODUCTION, REGISTRATION: '' }
  expect(() => readConfig(production)).toThrow(/REGISTRATION is open but SMTP_URL is missing/)
  expect(readConfig({ ...production, REGISTRATION: 'invite' })).toMatchObject({ REGISTRATION: 'invite' })
  const mail = { SMTP_URL: 'smtp://localhost', PUBLIC_URL: 'https://calls.example.com' }
  expect(readConfig({ ...production, ...mail })).toMatchObject({ REGISTRATION: 'open' })
  expect(readConfig(MINIMAL)).toMatchObject({ REGISTRATION: 'open' })
})

test.each([
  ['SESSION_DAYS', '3000000000', 'must be a whole number from 1 to 36500'],
  ['SHUTDOWN_GRACE_SECONDS', '2147484', 'must be a whole number from 1 to 3600'],
  ['RETRY_RELAY_FIRST_SECONDS', '0', 'must be a number from 0.001 to 86400'],
  ['RETRY_RELAY_FIRST_SECONDS', '31', 'must not be longer than RETRY_RELAY_MAX_SECONDS'],
  ['RECOVERY_PAUSES_MINUTES', '15,Infinity', 'must be minutes, from 0.001 to 527040, separated by commas'],
  ['TRUST_PROXY', '1,2', 'must be a number of hops up to 100, or addresses and ranges of proxies'],
  ['EXOTEL_RECORDING_HOSTS', ',', 'must be host names, or *. and a domain for all hosts below it, separated by commas'],
  ['EXOTEL_RECORDING_HOSTS', 'a.example.com:0', 'must be host names, or *. and a domain for all hosts below it, separated by commas'],
  ['EXOTEL_RECORDING_HOSTS', 'a.example.com:65536', 'must be host names, or *. and a domain for all hosts below it, separated by commas'],
  [
    'EXOTEL_PUBLIC_RECORDING_HOSTS',
    'a.example.com, b.example.com:99999',
    'must be host names, or *. and a domain for all hosts below it, separated by commas',
  ],
  ['EXOTEL_RECORDING_HOSTS', '*', 'must be host names, or *. and a domain for all hosts below it, separated by commas'],
  ['EXOTEL_RECORDING_HOSTS', '*exotel.com', 'must be host names, or *. and a domain for all hosts below it, separated by commas'],
  ['EXOTEL_WEBHOOK_SECRET', ' , ', 'must be secrets, separated by commas'],
  ['WASABI_ENDPOINT', 's3.wasabisys.com', 'must be a URL such as https://host'],
  ['WASABI_ENDPOINT', 's3://bucket', 'must be a URL such as https://host'],
  ['EXOTEL_API_BASE_URL', 'localhost:4010', 'must be a URL such as https://host'],
  ['EXOTEL_API_BASE_URL', 'ws://api.exotel.com', 'must be a URL such as https://host'],
  ['PUBLIC_URL', 'https://calls.example.com/?a=1', 'must be a URL such as https://host'],
  ['PUBLIC_URL', 'https://calls.example.com/#top', 'must be a URL such as https://host'],
  ['DATABASE_URL', 'mysql://db.internal/caly', 'must be a PostgreSQL URL'],
  ['DATABASE_URL', 'host=db.internal user=caly', 'must be a PostgreSQL URL'],
  ['MIGRATION_DATABASE_URL', 'db.internal/caly', 'must be a PostgreSQL URL'],
])('When %s is %s, then the message says that it %s', (name, value, message) => {
  expect(() => readConfig({ ...MINIMAL, [name]: value })).toThrow(`${name} ${message}`)
  expect(() => readConfig({ ...MINIMAL, [name]: value })).not.toThrow(/internal|s3:\/\/|api\.exotel/)
})
