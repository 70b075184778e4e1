// Parameters of DATABASE_URL mean the same to the application (pg) and to the migrations (Prisma's engine), or are rejected.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { readConfig } from '../../platform/config.ts'
import { applicationConnection, migrationUrl } from '../../platform/database-url.ts'

const SERVER = 'postgresql://caly:p%40ss@db.internal:5433/caly'
const SETTINGS = {
  NODE_ENV: 'test',
  WASABI_BUCKET: 'b',
  WASABI_ACCESS_KEY: 'k',
  WASABI_SECRET_KEY: 's',
  EXOTEL_ACCOUNT_SID: 'a',
  EXOTEL_API_KEY: 'k',
  EXOTEL_API_TOKEN: 't',
}

let folder: string
let certificate: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'certificates '))
  certificate = join(folder, 'root.pem')
  writeFileSync(certificate, 'a certificate')
})
afterAll(() => rmSync(folder, { recursive: true }))

test.each([
  ['schema=caly', 'schema'],
  ['sslmode=prefer', 'sslmode'],
  ['sslmode=verify-ca', 'sslmode'],
  ['sslmode=no-verify', 'sslmode'],
  ['sslmode=', 'sslmode'],
  ['sslmode=require&sslmode=disable', 'sslmode'],
  ['sslrootcert=/root.pem', 'sslrootcert'],
  ['sslmode=verify-full&sslrootcert=/nowhere/root.pem', 'sslrootcert'],
  ['sslmode=verify-full&sslrootcert=', 'sslrootcert'],
  ['options=-c%20search_path=caly', 'search_path'],
  ['options=--search-path=caly', 'search_path'],
  ['options=-cTimeZone=Asia/Kolkata', 'TimeZone'],
  ['options=-c%20timezone%3DAsia/Kolkata', 'TimeZone'],
  ['options=-c%20datestyle=German', 'DateStyle'],
  ['options=-c%20default_transaction_isolation=serializable', 'default_transaction_isolation'],
  ['options=--default-transaction-read-only=on', 'default_transaction_read_only'],
  ['options=-c%20default_transaction_deferrable=on', 'default_transaction_deferrable'],
  ['options=-c%20synchronous_commit=off', 'synchronous_commit'],
  ['options=-d%205', 'options'],
  ['options=-c', 'options'],
  ['host=elsewhere', 'host'],
  ...['ssl=true', 'sslcert=a', 'sslkey=a', 'sslaccept=strict', 'sslidentity=a', 'uselibpqcompat=true', 'pgbouncer=true'].map((each) => [
    each,
    each.split('=')[0]!,
  ]),
  ...['connection_limit=5', 'statement_timeout=1', 'user=other', 'database=other', 'password=other', 'max=1'].map((each) => [
    each,
    each.split('=')[0]!,
  ]),
])('When the URL has %s, then it is rejected with a message that names %s but does not contain the URL', (query, named) => {
  const text = `${SERVER}?${query}`
  for (const read of [
    () => readConfig({ ...SETTINGS, DATABASE_URL: text }),
    () => readConfig({ ...SETTINGS, DATABASE_URL: SERVER, MIGRATION_DATABASE_URL: text }),
    () => applicationConnection(text, {}),
    () => migrationUrl(text),
  ]) {
    expect(read).toThrow(named)
    expect(read).not.toThrow(/db\.internal|p%40ss|p@ss|elsewhere/)
  }
})

test.each([
  'garbage',
  'mysql://a@b/c',
  'postgresql://caly@db.internal',
  'postgresql://caly@%2Frun%2Fpostgresql/caly',
  '/run/postgresql caly',
])('When the URL is %s, then it is rejected with a message that does not contain it', (text) => {
  const read = () => readConfig({ ...SETTINGS, DATABASE_URL: text })
  expect(read).toThrow(/DATABASE_URL must be/)
  expect(read).not.toThrow(text)
})

test.each([`${SERVER}#x?sslmode=verify-full`, `${SERVER}?sslmode=verify-full#`, `${SERVER}#`])(
  'When the URL is %s, then it is rejected, because clients ignore everything after #',
  (text) => {
    for (const read of [
      () => readConfig({ ...SETTINGS, DATABASE_URL: text }),
      () => readConfig({ ...SETTINGS, DATABASE_URL: SERVER, MIGRATION_DATABASE_URL: text }),
      () => applicationConnection(text, {}),
      () => migrationUrl(text),
    ]) {
      expect(read).toThrow('has a "#", which ends the URL: encode it as %23')
    }
  },
)

test('When a part of a password that is not percent-encoded looks like a parameter, then the message does not contain it', () => {
  expect(() => applicationConnection('postgresql://caly:123?secret=word@db.internal/caly', {})).toThrow(/must be/)
  expect(() => applicationConnection('postgresql://caly:123?secret=word@db.internal/caly', {})).not.toThrow(/secret|=word/)
})

test.each([
  ['', false, 'schema=public&sslmode=disable'],
  ['?schema=public', false, 'schema=public&sslmode=disable'],
  ['?sslmode=disable', false, 'schema=public&sslmode=disable'],
  ['?sslmode=require', { rejectUnauthorized: true }, 'schema=public&sslmode=require&sslaccept=strict'],
  ['?sslmode=verify-full', { rejectUnauthorized: true }, 'schema=public&sslmode=require&sslaccept=strict'],
])('When the URL has "%s", then pg and Prisma use TLS in the same way', (query, ssl, expected) => {
  const connection = applicationConnection(SERVER + query, {})
  expect(connection.ssl).toEqual(ssl && expect.objectContaining(ssl as object))
  expect(new URL(migrationUrl(SERVER + query)).search.slice(1)).toBe(expected)
  expect(connection.connectionString).toBe(SERVER)
})

test('When the URL names a root certificate, then pg and Prisma verify the server with it', () => {
  const text = `${SERVER}?sslmode=verify-full&sslrootcert=${encodeURIComponent(certificate)}`
  expect(applicationConnection(text, {}).ssl).toMatchObject({ rejectUnauthorized: true, ca: 'a certificate', host: 'db.internal' })
  expect(new URL(migrationUrl(text)).searchParams.get('sslcert')).toBe(certificate)
})

test('When the URL names the directory of a socket, then pg and Prisma connect there', () => {
  const text = 'postgresql://caly@localhost/caly?host=/var/run/postgresql'
  expect(new URL(applicationConnection(text, {}).connectionString).searchParams.get('host')).toBe('/var/run/postgresql')
  expect(new URL(migrationUrl(text)).searchParams.get('host')).toBe('/var/run/postgresql')
})

test('When the URL has options, then they are merged with those of the application, and the time zone is UTC', () => {
  const text = `${SERVER}?options=${encodeURIComponent('-c statement_timeout=1000 --work-mem=8MB')}`
  expect(applicationConnection(text, { statement_timeout: 5000 }).options).toBe(
    '-c statement_timeout=5000 -c statement_timeout=1000 --work-mem=8MB -c TimeZone=UTC -c DateStyle=ISO -c search_path=public',
  )
  expect(new URL(migrationUrl(text)).searchParams.get('options')).toBe('-c statement_timeout=1000 --work-mem=8MB')
})

test.each(['0', '5001', '6s', '1min', '1h', '1d', '0x2000', '1000 -c statement_timeout=20s', '1000 --Statement-Timeout=20s'])(
  'When options set statement_timeout to %s, which may be longer than the client waits, then the application’s own limit applies',
  (value) => {
    const text = `${SERVER}?options=${encodeURIComponent(`-c statement_timeout=${value}`)}`
    const { options } = applicationConnection(text, { statement_timeout: 5000 })
    expect(options).toMatch(/.* -c statement_timeout=5000 -c TimeZone=UTC -c DateStyle=ISO -c search_path=public$/)
    expect(new URL(migrationUrl(text)).searchParams.get('options')).toBe(`-c statement_timeout=${value}`)
  },
)

test.each(['5000', '5s', '1', '20s -c statement_timeout=3s'])(
  'When options shorten statement_timeout to %s, then that value applies',
  (value) => {
    const text = `${SERVER}?options=${encodeURIComponent(`-c statement_timeout=${value}`)}`
    const { options } = applicationConnection(text, { statement_timeout: 5000 })
    expect(options.match(/statement_timeout=\S+/g)!.at(-1)).toBe(`statement_timeout=${value.split('=').at(-1)}`)
  },
)
