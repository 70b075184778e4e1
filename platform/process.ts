// How a process of ours begins and ends.
import { BadConfiguration } from './config.ts'
import { EnvFileUnreadable, loadEnvFile } from './env-file.ts'
import { ignoreOutputErrors } from './output.ts'

/** Why a process cannot do its work, in one sentence for people. */
export class CannotStart extends Error {}

/** Exit code where the set-up is wrong, so that an orchestrator's log shows one clear sentence and no stack. */
const FAILED = 1

/** Reads `.env`, then runs a process's main function; what it throws is said in one line. */
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
  process.env.NODE_ENV ||= 'production' // libraries take an unset NODE_ENV for development
  await main()
}

/** Resolves at the first SIGTERM, SIGINT or SIGHUP; further ones change nothing. */
export function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => resolve(signal))
  })
}

/** The last word where something does not end by itself. */
export function exitAfter(ms: number, code: number): void {
  setTimeout(() => process.exit(code), ms).unref()
}
