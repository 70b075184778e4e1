import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { pino } from 'pino'
import { startTcpProxy, type TcpProxy } from '../../testing/chaos/tcp-proxy.ts'
import { isDatabaseOutage } from '../../platform/database-errors.ts'
import { connectDatabase, type Database } from '../../platform/database.ts'
import { eventually } from '../support/eventually.ts'
import { createDatabase } from '../support/servers.ts'

let created: Awaited<ReturnType<typeof createDatabase>>
let line: TcpProxy
const opened: Database[] = []
beforeAll(async () => {
  created = await createDatabase()
  const url = new URL(created.url)
  line = await startTcpProxy(url.hostname, Number(url.port))
})
afterEach(() => line.restore())
afterAll(async () => {
  for (const database of opened) await database.$disconnect()
  await line?.close()
  await created?.drop()
})

function connected(port = line.port, parameters: Record<string, string> = {}): Database {
  const url = new URL(created.url)
  url.port = String(port)
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
  const database = connectDatabase({ url: url.href, poolSize: 2, logger: pino({ level: 'silent' }) })
  opened.push(database)
  return database
}
const errorOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'it succeeded',
    (error: unknown) => error,
  )
/** Waits until the server executes the slow statement. Uses a separate connection. */
async function underWay(): Promise<void> {
  const observer = connected(Number(new URL(created.url).port))
  await eventually('the statement to run', async () => {
    const running = await observer.$queryRaw<unknown[]>`
      SELECT FROM pg_stat_activity WHERE state = 'active' AND datname = current_database() AND query LIKE 'SELECT pg_sleep(4)%'`
    return running.length > 0
  })
}
const slow = (database: Pick<Database, '$queryRaw'>): Promise<unknown> => database.$queryRaw`SELECT pg_sleep(4)::text`

test.each([
  ['the server does not offer TLS', () => errorOf(connected(line.port, { sslmode: 'require' }).$queryRaw`SELECT 1`)],
  [
    'the server does not offer TLS for a transaction',
    () => errorOf(connected(line.port, { sslmode: 'require' }).$transaction(async () => {})),
  ],
  ['a transaction takes too long', () => errorOf(connected().$transaction((tx) => slow(tx), { timeout: 50 }))],
  ['no server listens', () => errorOf(connected(1).$queryRaw`SELECT 1`)],
  [
    'the line is cut in the middle of a query',
    async () => {
      const database = connected()
      await database.$queryRaw`SELECT 1`
      const error = errorOf(slow(database))
      await underWay()
      line.cut()
      return error
    },
  ],
  [
    'the line is cut in the middle of a transaction',
    () =>
      errorOf(
        connected().$transaction(async (tx) => {
          await tx.$queryRaw`SELECT 1`
          line.cut()
          await tx.$queryRaw`SELECT 2`
        }),
      ),
  ],
  [
    'the line was cut while nothing was asked',
    async () => {
      const database = connected()
      await database.$queryRaw`SELECT 1`
      line.cut()
      return errorOf(database.$queryRaw`SELECT 1`)
    },
  ],
  [
    'connections are taken and never answered',
    () => {
      line.stall()
      return errorOf(connected().$queryRaw`SELECT 1`)
    },
  ],
  ['connections are closed immediately', () => (line.cut(), errorOf(connected().$queryRaw`SELECT 1`))],
  ['a statement takes too long', () => errorOf(connected().$queryRaw`SELECT pg_sleep(6)::text`)],
  [
    'the server ends the session',
    async () => {
      const database = connected()
      const error = errorOf(slow(database))
      const killer = connected()
      await underWay()
      await killer.$queryRaw`SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`
      return error
    },
  ],
])('When %s, then the error is an outage', async (_what, make) => {
  const error = await make()
  expect([isDatabaseOutage(error), error]).toEqual([true, error])
})

test.each([
  ['a table is missing', () => errorOf(connected().$queryRaw`SELECT * FROM nothing`)],
  ['a constraint is violated', () => errorOf(connected().$executeRaw`INSERT INTO calls (call_sid) VALUES ('no good')`)],
  ['a function raises an error', () => errorOf(connected().$executeRaw`DO $$ BEGIN RAISE EXCEPTION 'no'; END $$`)],
  ['a number is invalid', () => errorOf(connected().$queryRaw`SELECT 'x'::int`)],
  ['the application has a bug', async () => new TypeError('x is not a function')],
])('When %s, then the error is not an outage', async (_what, make) => {
  expect(isDatabaseOutage(await make())).toBe(false)
})
