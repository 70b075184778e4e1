import { Prisma } from './generated/client.ts'

/** When a client may ask again after an outage; the grace period of refresh tokens depends on it. */
export const RETRY_AFTER_SECONDS = 10

/** SQLSTATE classes that blame the statement, its data, or a function that it calls, not the server's condition. */
const STATEMENT_FAULTS = /^(0A|21|22|23|26|2F|38|39|42|44|54|P0)/

const PERMISSION_DENIED = '42501'
const QUERY_CANCELED = '57014'

/** What pg and its adapter throw, as plain errors, where a connection cannot be had, breaks, or goes silent. */
const CONNECTION_TROUBLE =
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

/** True where the same statement may succeed later: the server is away, starting, stopping, overloaded, or breaks a deadlock. */
export function isDatabaseOutage(error: unknown): boolean {
  if (error instanceof Prisma.PrismaClientKnownRequestError) {
    const state = sqlState(error)
    return state === undefined || !STATEMENT_FAULTS.test(state)
  }
  return (
    error instanceof Prisma.PrismaClientInitializationError ||
    error instanceof Prisma.PrismaClientUnknownRequestError ||
    (error instanceof Error && (error.name === 'DriverAdapterError' || isConnectionTrouble(error)))
  )
}

/** True where the role of the connection lacks a right. */
export function isPermissionDenied(error: unknown): boolean {
  return error instanceof Prisma.PrismaClientKnownRequestError && (error.code === 'P1010' || sqlState(error) === PERMISSION_DENIED)
}

/** The server has cancelled the statement because it ran too long: fewer rows at once may pass. */
export function isStatementTimeout(error: unknown): boolean {
  return error instanceof Prisma.PrismaClientKnownRequestError && sqlState(error) === QUERY_CANCELED
}

function isConnectionTrouble(error: Error): boolean {
  const { code } = error as NodeJS.ErrnoException
  return (
    CONNECTION_TROUBLE.test(error.message) ||
    CONNECTION_CODES.has(code ?? '') ||
    (error.cause instanceof Error && isConnectionTrouble(error.cause))
  )
}

/** The SQLSTATE of an error of PostgreSQL, such as `23514`; its text could hold values. */
export function sqlStateOf(error: unknown): string | undefined {
  return error instanceof Prisma.PrismaClientKnownRequestError ? sqlState(error) : undefined
}

function sqlState(error: Prisma.PrismaClientKnownRequestError): string | undefined {
  const meta = error.meta as { driverAdapterError?: { cause?: { originalCode?: string; code?: string } }; code?: string } | undefined
  const state = meta?.driverAdapterError?.cause?.originalCode ?? meta?.driverAdapterError?.cause?.code ?? meta?.code
  return typeof state === 'string' && /^[0-9A-Z]{5}$/.test(state) ? state : undefined
}
