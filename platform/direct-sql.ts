// Runs SQL templates with `pg`. Prisma's raw queries do the same with about three times the CPU time (docs/measurements.md).
import pg from 'pg'
import { Prisma } from './generated/client.ts'
import type { StatementNames } from './statement-names.ts'

/** Runs SQL: the database itself, or a transaction on it. Numbers of the type `bigint` are returned as BigInt, `numeric` as text. */
export interface Queryable {
  /** @returns the rows */
  $queryRaw<Rows>(template: TemplateStringsArray | Prisma.Sql, ...values: unknown[]): Promise<Rows>
  /** @returns the number of rows that were changed */
  $executeRaw(template: TemplateStringsArray | Prisma.Sql, ...values: unknown[]): Promise<number>
}

export interface DirectSql extends Queryable {
  /** Rolls back if `work` throws, or if the transaction takes longer than `timeoutMs`. */
  transaction<T>(work: (transaction: Queryable) => Promise<T>, timeoutMs: number): Promise<T>
}

/** No usable connection: it cannot be opened (network, TLS, limits of the server), broke, or got no response in time. */
export class ConnectionFailed extends Error {}

/** A statement in the transaction has failed, so PostgreSQL rolled it back instead of committing it. */
class RolledBack extends Error {}

export function directSql(pool: pg.Pool, nameOf: StatementNames): DirectSql {
  return { ...queryable(pool, nameOf), transaction }

  async function transaction<T>(work: (transaction: Queryable) => Promise<T>, timeoutMs: number): Promise<T> {
    const client = await classified(pool.connect())
    let broken: Error | undefined
    const breakOff = (error: Error): void => void (broken ??= asConnectionFailure(error))
    client.on('error', breakOff) // without a listener, a lost connection would end the process
    const timer = setTimeout(() => {
      breakOff(new ConnectionFailed(`The transaction took longer than ${timeoutMs} ms`))
      void client.end()
    }, timeoutMs)
    try {
      await classified(client.query('BEGIN'))
      const result = await work(queryable(client, nameOf))
      const { command } = await classified(client.query('COMMIT'))
      if (command !== 'COMMIT') throw new RolledBack('The transaction was rolled back because one of its statements had failed')
      return result
    } catch (error) {
      const reason = broken ?? error
      await client.query('ROLLBACK').catch(breakOff)
      throw reason
    } finally {
      clearTimeout(timer)
      client.off('error', breakOff)
      client.release(broken)
    }
  }
}

function queryable(connection: pg.Pool | pg.PoolClient, nameOf: StatementNames): Queryable {
  const run = (template: TemplateStringsArray | Prisma.Sql, values: unknown[]): Promise<pg.QueryResult> => {
    const statement = 'raw' in template ? Prisma.sql(template, ...values) : template
    const { text } = statement
    return classified(connection.query({ text, values: statement.values, name: nameOf({ sql: text }), types }))
  }
  return {
    $queryRaw: async <Rows>(template: TemplateStringsArray | Prisma.Sql, ...values: unknown[]) =>
      (await run(template, values)).rows as Rows,
    $executeRaw: async (template, ...values) => (await run(template, values)).rowCount ?? 0,
  }
}

function classified<T>(work: Promise<T>): Promise<T> {
  return work.catch((error: unknown) => {
    throw asConnectionFailure(error)
  })
}

/** Every error counts as a failed connection, except `DatabaseError`, `TypeError` and `RangeError`: errors of connections have many codes and texts. */
function asConnectionFailure(error: unknown): Error {
  const isOther = [pg.DatabaseError, ConnectionFailed, TypeError, RangeError].some((kind) => error instanceof kind)
  if (isOther) return error as Error
  return new ConnectionFailed(error instanceof Error ? error.message : String(error), { cause: error })
}

const { INT8, DATE } = pg.types.builtins

/** Like Prisma: `bigint` is exact, and a `date` is midnight in UTC, not in the time zone of the process. */
const types = {
  getTypeParser(oid: Parameters<typeof pg.types.getTypeParser>[0]) {
    if (oid === INT8) return BigInt
    if (oid === DATE) return (text: string) => new Date(`${text}T00:00:00Z`)
    return pg.types.getTypeParser(oid)
  },
} as pg.CustomTypesConfig
