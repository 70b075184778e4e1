import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { pino } from 'pino'
import { isDatabaseOutage, sqlStateOf } from '../../platform/database-errors.ts'
import { connectDatabase, type Database, type Queryable } from '../../platform/database.ts'
import { createDatabase, newCallSid } from '../support/servers.ts'

let created: Awaited<ReturnType<typeof createDatabase>>
let database: Database
/** Has one connection, so that a setting of its session applies to each statement. */
let single: Database
beforeAll(async () => {
  created = await createDatabase()
  database = connectDatabase({ url: created.url, poolSize: 2, logger: pino({ level: 'silent' }) })
  single = connectDatabase({ url: created.url, poolSize: 1, logger: pino({ level: 'silent' }) })
  await database.$executeRaw`
    CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN RAISE EXCEPTION 'planted' USING ERRCODE = current_setting('test.sqlstate'); END $$`
  await database.$executeRaw`CREATE TABLE failing_statements (id int)`
  await database.$executeRaw`CREATE TRIGGER fail BEFORE INSERT ON failing_statements FOR EACH ROW EXECUTE FUNCTION fail()`
  await database.$executeRaw`CREATE TABLE failing_commits (id int)`
  await database.$executeRaw`
    CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON failing_commits DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail()`
  await database.$executeRaw`
    CREATE TRIGGER fail BEFORE INSERT ON calls FOR EACH ROW WHEN (NEW.custom_field = 'fail') EXECUTE FUNCTION fail()`
})
afterAll(async () => {
  await Promise.all([database?.$disconnect(), single?.$disconnect()])
  await created?.drop()
})

const inTransaction = (insert: (tx: Queryable) => Promise<unknown>) => (sqlState: string) =>
  database.$transaction(async (tx) => {
    await tx.$executeRaw`SELECT set_config('test.sqlstate', ${sqlState}, true)`
    await insert(tx)
  })
const STATEMENTS: [string, (sqlState: string) => Promise<unknown>][] = [
  ['a statement', inTransaction((tx) => tx.$executeRaw`INSERT INTO failing_statements VALUES (1)`)],
  ['a commit', inTransaction((tx) => tx.$executeRaw`INSERT INTO failing_commits VALUES (1)`)],
  [
    'a query of the model',
    async (sqlState) => {
      await single.$executeRaw`SELECT set_config('test.sqlstate', ${sqlState}, false)`
      await single.call.create({ data: { callSid: newCallSid(), customField: 'fail' } })
    },
  ],
]

/** The error if PostgreSQL reports this SQLSTATE. */
async function failWith(sqlState: string, statement: (sqlState: string) => Promise<unknown>): Promise<unknown> {
  return statement(sqlState).then(
    () => 'it succeeded',
    (error: unknown) => error,
  )
}

describe.each(STATEMENTS)(
  'When %s fails with an SQLSTATE that PostgreSQL returns again, then the error is not an outage:',
  (_what, statement) => {
    test.each(['XX001', 'XX002', 'XX000', '58P01', '23503', '22003', '0A000', '42501', 'P0001', 'F0000', '55000'])(
      '%s',
      async (sqlState) => {
        const error = await failWith(sqlState, statement)
        expect(error).toBeInstanceOf(Error)
        expect([sqlStateOf(error), isDatabaseOutage(error), error]).toEqual([sqlState, false, error])
      },
    )
  },
)

describe.each(STATEMENTS)('When %s fails with an SQLSTATE of a temporary state, then the error is an outage:', (_what, statement) => {
  test.each(['08006', '25006', '25P03', '28P01', '3D000', '40001', '40P01', '53300', '53100', '55P03', '57014', '57P01', '57P03', '58030'])(
    '%s',
    async (sqlState) => {
      const error = await failWith(sqlState, statement)
      expect([isDatabaseOutage(error), error]).toEqual([true, error])
    },
  )
})
