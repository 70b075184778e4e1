import { Prisma } from './generated/client.ts'

/** SQLSTATE classes that blame the statement or its data, not the server's condition. */
const STATEMENT_FAULTS = /^(0A|21|22|23|26|42|54)/

/** True where the same statement may succeed later: the server is away, starting, stopping, overloaded, or breaks a deadlock. */
export function isDatabaseOutage(error: unknown): boolean {
  if (error instanceof Prisma.PrismaClientKnownRequestError) {
    const state = sqlState(error)
    return state === undefined || !STATEMENT_FAULTS.test(state)
  }
  return (
    error instanceof Prisma.PrismaClientInitializationError ||
    error instanceof Prisma.PrismaClientUnknownRequestError ||
    (error instanceof Error && error.name === 'DriverAdapterError')
  )
}

function sqlState(error: Prisma.PrismaClientKnownRequestError): string | undefined {
  const meta = error.meta as { driverAdapterError?: { cause?: { originalCode?: string; code?: string } }; code?: string } | undefined
  const state = meta?.driverAdapterError?.cause?.originalCode ?? meta?.driverAdapterError?.cause?.code ?? meta?.code
  return typeof state === 'string' && /^[0-9A-Z]{5}$/.test(state) ? state : undefined
}
