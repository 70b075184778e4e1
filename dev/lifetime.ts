// A stack for the length of one piece of work, which further commands may use meanwhile.
import { mkdirSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { readConfig } from '../platform/config.ts'
import { describeOldNode } from '../platform/node-version.ts'
import { stopSignal } from '../platform/process.ts'
import { clearLeftovers, Keeper } from './keeper.ts'
import { withLock } from './lock.mjs'
import { announce, findRunning, isUsed, use, withdraw } from './running-stack.ts'
import { loadSecrets } from './secrets.ts'
import { startServices, type DevStack } from './services.ts'
import { startServers } from './stack.ts'

export const home = fileURLToPath(new URL('../.data', import.meta.url))
/** Held while a stack starts or ends, and while a command begins to use one. */
export const lock = fileURLToPath(new URL('../.starting', import.meta.url))
export const say = (text: string): void => console.log(text)

/** As shells say it: ended by SIGINT. */
export const INTERRUPTED = 130
const began = Date.now()
/** How often a stack looks whether another command still uses it. */
const USERS_POLL_MS = 200

/** A sentence for people; exit code 1. */
export class Refused extends Error {}

export interface Work {
  /** On the stack that another command has started. */
  join: (stack: DevStack) => Promise<number>
  /** On a stack that lasts until this has ended. */
  lead: (stack: DevStack, interrupted: Promise<void>) => Promise<number>
}

/** Uses the running stack, or has one for the length of one piece of work; Ctrl-C ends both in order. */
export async function withStack({ join, lead }: Work): Promise<number> {
  mkdirSync(home, { recursive: true })
  const keeper = new Keeper(home, say)
  let signalled = false
  const interrupted = stopSignal().then(() => void (signalled = true))
  const work = async (): Promise<number> => {
    const { stack, leave } = await withLock(lock, () => joinOrStart(keeper))
    if (leave) return join(stack).finally(leave)
    try {
      return await lead(stack, interrupted)
    } finally {
      if (!signalled) await endAfterUsers(keeper)
    }
  }
  try {
    return await Promise.race([work(), interrupted.then(() => INTERRUPTED)])
  } finally {
    if (signalled) say('\nStopping …')
    withdraw(home)
    await keeper.stop()
    if (signalled) say('Everything has stopped.')
  }
}

async function joinOrStart(keeper: Keeper): Promise<{ stack: DevStack; leave?: () => void }> {
  const running = findRunning(home)
  return running ? { stack: running, leave: use(home) } : { stack: await startAll(keeper) }
}

/** Under the lock nobody begins to use the stack between the look for users and its end. Says nothing: the last line is the result. */
async function endAfterUsers(keeper: Keeper): Promise<void> {
  for (;;) {
    const hasEnded = await withLock(lock, async () => {
      if (isUsed(home)) return false
      withdraw(home)
      await keeper.stop()
      return true
    })
    if (hasEnded) return
    await pause(USERS_POLL_MS)
  }
}

export async function onRunning(work: (stack: DevStack) => Promise<number>): Promise<number> {
  mkdirSync(home, { recursive: true })
  const { stack, leave } = await withLock(lock, async () => {
    const running = findRunning(home)
    if (!running) throw new Refused('No stack is running: start one with `npm run dev` first.')
    return { stack: running, leave: use(home) }
  })
  return work(stack).finally(leave)
}

async function startAll(keeper: Keeper): Promise<DevStack> {
  assertSettings()
  await clearLeftovers(home)
  const oldNode = describeOldNode()
  say(oldNode ? `Starting the stack (${oldNode}):` : 'Starting the stack:')
  const secrets = loadSecrets(home)
  const report = (what: string, ms: number): void => say(`  ✔ ${what} (${(ms / 1000).toFixed(1)} s)`)
  const servers = await startServers(keeper, { home, secrets, kind: 'usual', report })
  const starting = Date.now()
  const stack = await startServices(keeper, servers, secrets, home)
  report('API, worker and stand-in Exotel are up', Date.now() - starting)
  announce(home, stack)
  say(`Up after ${((Date.now() - began) / 1000).toFixed(1)} s.`)
  return stack
}

/** What the environment says is looked at before anything is started; what it leaves out, the stack brings. */
function assertSettings(): void {
  if (process.env.NODE_ENV === 'production') throw new Refused('NODE_ENV is production, but this command is for development: unset it.')
  const brought = ['WASABI_BUCKET', 'WASABI_ACCESS_KEY', 'WASABI_SECRET_KEY', 'EXOTEL_ACCOUNT_SID', 'EXOTEL_API_KEY', 'EXOTEL_API_TOKEN']
  const database = { DATABASE_URL: 'postgresql://caly@localhost/caly' }
  readConfig({ ...database, ...Object.fromEntries(brought.map((name) => [name, 'brought'])), ...process.env })
}
