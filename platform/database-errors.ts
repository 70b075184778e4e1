import { types } from 'node:util'
import pg from 'pg'
import { ConnectionFailed } from './direct-sql.ts'
import { Prisma } from './generated/client.ts'

/** Value of Retry-After during an outage. The grace period of refresh tokens depends on it. */
export const RETRY_AFTER_SECONDS = 10

/**
 * The SQLSTATEs after which the same statement may succeed later [PostgreSQL, appendix A]: the connection broke (08) or was refused (28,
 * 3D), the server is a standby or ended the transaction (25006, 25P03, 25P04), the transaction was rolled back (40), resources are
 * exhausted (53), a lock is held (55006, 55P03), an operator intervened (57), the operating system failed (58). Any other SQLSTATE says
 * that the statement, its data or the database is wrong: a violated constraint, a missing table or file, a damaged index (XX).
 */
const TEMPORARY = /^(?:08|25006|25P0[34]|28|3D|40|53|55006|55P03|57|58(?!P))/

const PERMISSION_DENIED = '42501'
const QUERY_CANCELED = '57014'

/** Messages of the plain errors that pg and its adapter throw if a connection cannot be opened, breaks, or stops responding. */
const CONNECTION_ERROR =
  /connection terminated|connection timeout|connection error|not queryable|timeout exceeded when trying to connect|query read timeout|connection (?:is |was )?(?:closed|reset|ended)|server closed the connection|socket hang up/i
const CONNECTION_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
])

/**
 * True if the same statement may succeed later: the server is unavailable, starting, stopping or overloaded, or broke a deadlock. Also true
 * for a request error of Prisma without an SQLSTATE.
 */
export function isDatabaseOutage(error: unknown): boolean {
  const state = sqlStateOf(error)
  if (state !== undefined) return TEMPORARY.test(state)
  return (
    error instanceof ConnectionFailed ||
    error instanceof Prisma.PrismaClientKnownRequestError ||
    error instanceof Prisma.PrismaClientInitializationError ||
    error instanceof Prisma.PrismaClientUnknownRequestError ||
    (types.isNativeError(error) && (error.name === 'DriverAdapterError' || isConnectionError(error)))
  )
}

/** True if the role of the connection lacks a privilege. */
export function isPermissionDenied(error: unknown): boolean {
  return (error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P1010') || sqlStateOf(error) === PERMISSION_DENIED
}

/** True if the server cancelled the statement because it ran too long. The same work with fewer rows may succeed. */
export function isStatementTimeout(error: unknown): boolean {
  return sqlStateOf(error) === QUERY_CANCELED
}

function isConnectionError(error: Error): boolean {
  const { code } = error as NodeJS.ErrnoException
  return (
    CONNECTION_ERROR.test(error.message) ||
    CONNECTION_CODES.has(code ?? '') ||
    (types.isNativeError(error.cause) && isConnectionError(error.cause))
  )
}

/** The SQLSTATE of a PostgreSQL error, such as `23514`. Unlike the error text, it cannot contain values of a row. */
export function sqlStateOf(error: unknown): string | undefined {
  const { originalCode, code } = reportedBy(error) ?? {}
  return [originalCode, code].find((each) => each !== undefined && SQLSTATE.test(each))
}

/** At least one digit: `EPIPE` is no SQLSTATE. */
const SQLSTATE = /^(?=.*\d)[0-9A-Z]{5}$/

/** What the adapter reports of an error of the server. A commit fails with the adapter's own error, most statements with Prisma's. */
function reportedBy(error: unknown): { originalCode?: string; code?: string | undefined } | undefined {
  if (error instanceof pg.DatabaseError) return { code: error.code }
  if (error instanceof Prisma.PrismaClientKnownRequestError) {
    const meta = error.meta as { driverAdapterError?: { cause?: { originalCode?: string; code?: string } }; code?: string } | undefined
    return meta?.driverAdapterError?.cause ?? meta
  }
  return error instanceof Error && error.name === 'DriverAdapterError' ? (error.cause as { originalCode?: string } | undefined) : undefined
}
