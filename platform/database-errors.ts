import { Prisma } from './generated/client.ts'

/** Value of Retry-After during an outage. The grace period of refresh tokens depends on it. */
export const RETRY_AFTER_SECONDS = 10

/** SQLSTATE classes of errors in the statement, its data, or a function that it calls, as opposed to the state of the server. */
const STATEMENT_FAULTS = /^(0A|21|22|23|26|2F|38|39|42|44|54|P0)/

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

/** True if the same statement may succeed later: the server is unavailable, starting, stopping or overloaded, or broke a deadlock. */
export function isDatabaseOutage(error: unknown): boolean {
  if (error instanceof Prisma.PrismaClientKnownRequestError) {
    const state = sqlState(error)
    return state === undefined || !STATEMENT_FAULTS.test(state)
  }
  return (
    error instanceof Prisma.PrismaClientInitializationError ||
    error instanceof Prisma.PrismaClientUnknownRequestError ||
    (error instanceof Error && (error.name === 'DriverAdapterError' || isConnectionError(error)))
  )
}

/** True if the role of the connection lacks a privilege. */
export function isPermissionDenied(error: unknown): boolean {
  return error instanceof Prisma.PrismaClientKnownRequestError && (error.code === 'P1010' || sqlState(error) === PERMISSION_DENIED)
}

/** True if the server cancelled the statement because it ran too long. The same work with fewer rows may succeed. */
export function isStatementTimeout(error: unknown): boolean {
  return error instanceof Prisma.PrismaClientKnownRequestError && sqlState(error) === QUERY_CANCELED
}

function isConnectionError(error: Error): boolean {
  const { code } = error as NodeJS.ErrnoException
  return (
    CONNECTION_ERROR.test(error.message) ||
    CONNECTION_CODES.has(code ?? '') ||
    (error.cause instanceof Error && isConnectionError(error.cause))
  )
}

/** The SQLSTATE of a PostgreSQL error, such as `23514`. Unlike the error text, it cannot contain values of a row. */
export function sqlStateOf(error: unknown): string | undefined {
  return error instanceof Prisma.PrismaClientKnownRequestError ? sqlState(error) : undefined
}

function sqlState(error: Prisma.PrismaClientKnownRequestError): string | undefined {
  const meta = error.meta as { driverAdapterError?: { cause?: { originalCode?: string; code?: string } }; code?: string } | undefined
  const state = meta?.driverAdapterError?.cause?.originalCode ?? meta?.driverAdapterError?.cause?.code ?? meta?.code
  return typeof state === 'string' && /^[0-9A-Z]{5}$/.test(state) ? state : undefined
}
