// Start and end of a process.
import { BadConfiguration } from './config.ts'
import { EnvFileUnreadable, loadEnvFile } from './env-file.ts'
import { ignoreOutputErrors } from './output.ts'

/** The process cannot start. The message is printed without a stack. */
export class CannotStart extends Error {}

/** Exit code of a process that fails. */
const FAILED = 1

/** Reads `.env`, then runs the main function. Known errors are printed as one line, other errors with their stack. */
export function runMain(main: () => Promise<void>): void {
  ignoreOutputErrors()
  start(main).catch((error: unknown) => {
    const isForPeople = [BadConfiguration, CannotStart, EnvFileUnreadable].some((each) => error instanceof each)
    console.error(isForPeople ? (error as Error).message : error)
    process.exit(FAILED)
  })
}

async function start(main: () => Promise<void>): Promise<void> {
  loadEnvFile()
  process.env.NODE_ENV ||= 'production' // libraries treat an unset NODE_ENV as development
  await main()
}

/** Resolves at the first SIGTERM, SIGINT or SIGHUP. Further signals are ignored. */
export function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => resolve(signal))
  })
}

/** Ends the process after this time if it has not ended by itself. */
export function exitAfter(ms: number, code: number): void {
  setTimeout(() => process.exit(code), ms).unref()
}
