// Starts a stack, runs a command on it, and stops it. Other commands may use the stack meanwhile.
import { mkdirSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { readConfig } from '../platform/config.ts'
import { describeOldNode } from '../platform/node-version.ts'
import { stopSignal } from '../platform/process.ts'
import { clearLeftovers, Supervisor } from './supervisor.ts'
import { withLock } from './lock.mjs'
import { announce, findRunning, isUsed, registerUser, withdraw } from './running-stack.ts'
import { loadSecrets } from './secrets.ts'
import { startServices, type DevStack } from './services.ts'
import { startServers } from './stack.ts'

export const home = fileURLToPath(new URL('../.data', import.meta.url))
/** Held while a stack starts or stops, and while a command registers as its user. */
export const lock = fileURLToPath(new URL('../.starting', import.meta.url))
export const print = (text: string): void => console.log(text)

/** The exit code of shells for SIGINT. */
export const INTERRUPTED = 130
const startedAt = Date.now()
/** How often a stack checks whether another command still uses it. */
const USERS_POLL_MS = 200

/** The command is refused. Only the message is printed; the exit code is 1. */
export class Refused extends Error {}

export interface Work {
  /** Runs on the stack of another command. */
  join: (stack: DevStack) => Promise<number>
  /** Runs on a stack that is stopped afterwards. */
  lead: (stack: DevStack, interrupted: Promise<void>) => Promise<number>
}

/** Uses the running stack, or starts one for this work. Ctrl-C ends the work and a stack that was started here. */
export async function withStack(work: Work): Promise<number> {
  mkdirSync(home, { recursive: true })
  const interruption = new AbortController()
  const interrupted = stopSignal().then(() => {
    print('\nStopping …')
    interruption.abort()
  })
  const supervisor = new Supervisor(home, print)
  try {
    const code = await workOnStack(work, supervisor, { interrupted, signal: interruption.signal })
    return interruption.signal.aborted ? INTERRUPTED : code
  } catch (error) {
    if (!interruption.signal.aborted) throw error
    return INTERRUPTED
  } finally {
    await end(supervisor) // does nothing if the stack was started: then it was stopped under the lock
    if (interruption.signal.aborted) print('Everything has stopped.')
  }
}

interface Interruption {
  interrupted: Promise<void>
  signal: AbortSignal
}

async function workOnStack({ join, lead }: Work, supervisor: Supervisor, { interrupted, signal }: Interruption): Promise<number> {
  const { stack, leave } = await withLock(lock, () => joinOrStart(supervisor, interrupted), signal)
  const unlessInterrupted = (code: Promise<number>): Promise<number> => Promise.race([code, interrupted.then(() => INTERRUPTED)])
  if (leave) return unlessInterrupted(join(stack).finally(leave))
  return unlessInterrupted(lead(stack, interrupted)).finally(() => endAfterUsers(supervisor, signal))
}

/** To be called under the lock. If the start fails or is interrupted, the servers are stopped before the lock is released. */
async function joinOrStart(supervisor: Supervisor, interrupted: Promise<void>): Promise<{ stack: DevStack; leave?: () => void }> {
  const running = findRunning(home)
  if (running) return { stack: running, leave: registerUser(home) }
  const interruption = interrupted.then(() => Promise.reject(new Error('The start was interrupted.')))
  try {
    return { stack: await Promise.race([startAll(supervisor), interruption]) }
  } catch (error) {
    await end(supervisor)
    throw error
  }
}

/**
 * Stops the stack when no other command uses it, or at Ctrl-C. The lock prevents that a command starts to use it meanwhile, and that
 * another start or reset runs while servers are stopping. Prints nothing, because the last line of stdout is the result.
 */
async function endAfterUsers(supervisor: Supervisor, signal: AbortSignal): Promise<void> {
  for (;;) {
    const hasEnded = await withLock(lock, async () => {
      if (!signal.aborted && isUsed(home)) return false
      await end(supervisor)
      return true
    })
    if (hasEnded) return
    await pause(USERS_POLL_MS)
  }
}

async function end(supervisor: Supervisor): Promise<void> {
  withdraw(home)
  await supervisor.stop()
}

export async function withRunningStack(work: (stack: DevStack) => Promise<number>): Promise<number> {
  mkdirSync(home, { recursive: true })
  const { stack, leave } = await withLock(lock, async () => {
    const running = findRunning(home)
    if (!running) throw new Refused('No stack is running. Start one first: npm run dev')
    return { stack: running, leave: registerUser(home) }
  })
  return work(stack).finally(leave)
}

async function startAll(supervisor: Supervisor): Promise<DevStack> {
  assertSettings()
  await clearLeftovers(home)
  const oldNode = describeOldNode()
  print(oldNode ? `Starting the stack (${oldNode}):` : 'Starting the stack:')
  const secrets = loadSecrets(home)
  const report = (what: string, ms: number): void => print(`  ✔ ${what} (${(ms / 1000).toFixed(1)} s)`)
  const servers = await startServers(supervisor, { home, secrets, kind: 'usual', report })
  const starting = Date.now()
  const stack = await startServices(supervisor, servers, secrets, home)
  report('API, worker and Exotel simulator are ready', Date.now() - starting)
  announce(home, stack)
  print(`Ready after ${((Date.now() - startedAt) / 1000).toFixed(1)} s.`)
  return stack
}

/** Validates the settings in the environment before anything is started. The stack itself provides the required ones that are missing. */
function assertSettings(): void {
  if (process.env.NODE_ENV === 'production')
    throw new Refused('NODE_ENV is production, but this command is for development: unset NODE_ENV.')
  const provided = ['WASABI_BUCKET', 'WASABI_ACCESS_KEY', 'WASABI_SECRET_KEY', 'EXOTEL_ACCOUNT_SID', 'EXOTEL_API_KEY', 'EXOTEL_API_TOKEN']
  const database = { DATABASE_URL: 'postgresql://caly@localhost/caly' }
  readConfig({ ...database, ...Object.fromEntries(provided.map((name) => [name, 'provided'])), ...process.env })
}
