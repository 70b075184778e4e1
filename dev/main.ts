// `npm run dev`: the whole backend on this machine.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { readConfig } from '../platform/config.ts'
import { describeOldNode } from '../platform/node-version.ts'
import { stopSignal } from '../platform/process.ts'
import { FAULTS, isFault } from '../simulator/faults.ts'
import { makeCalls } from './call.ts'
import { clearLeftovers, Keeper } from './keeper.ts'
import { withLock } from './lock.mjs'
import { commandOf } from './process-table.ts'
import { loadSecrets } from './secrets.ts'
import { startServices, type DevStack } from './services.ts'
import { startServers } from './stack.ts'
import { tellStory } from './story.ts'

process.env.NODE_ENV ||= 'development' // whoever runs this command asks for development
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true' // printed at every start on Node 20 else
const home = fileURLToPath(new URL('../.data', import.meta.url))
const stackFile = join(home, 'dev.json')
const lock = fileURLToPath(new URL('../.starting', import.meta.url))
const began = Date.now()
const say = (text: string): void => console.log(text)

const USAGE = `Usage:
  npm run dev                      starts everything, makes one call before your eyes, stays up until Ctrl-C
  npm run dev -- --once            makes one call, checks the stored object byte for byte, prints JSON, ends
  npm run dev -- call [--recording FILE] [--fault NAME] [--count N]     more calls, from a second terminal
  npm run dev -- reset             empties .data/`

/** As shells say it: ended by SIGINT. */
const INTERRUPTED = 130

/** A sentence for people; exit code 1. */
class Refused extends Error {}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error)
    process.exit(1)
  },
)

async function main(): Promise<number> {
  const { values, positionals } = readArguments()
  if (values.help) {
    say(USAGE)
    return 0
  }
  const [command, ...more] = positionals
  if (more.length > 0 || (command !== undefined && command !== 'call' && command !== 'reset')) {
    throw new Refused(`There is no command "${positionals.join(' ')}": npm run dev [-- --once | call | reset]`)
  }
  if (command !== 'call' && (values.fault ?? values.recording ?? values.count) !== undefined) {
    throw new Refused('--recording, --fault and --count go with `call`: npm run dev -- call --fault cut')
  }
  const running = runningStack()
  if (command === 'reset') return reset(running)
  if (command === 'call') return callOn(running ?? refuse('No stack is running: start one with `npm run dev` first.'), values)
  if (values.once) return running ? once(running) : withStack(once)
  if (running) {
    say(`The stack is running already (pid ${running.pid}).`)
    sayAddresses(running)
    return 0
  }
  return withStack(async (stack, interrupted) => {
    sayAddresses(stack)
    await tellStory(stack, say).catch((error: unknown) => say(`The story could not be told to its end: ${(error as Error).message}`))
    say('\nThe stack stays up. More calls: npm run dev -- call [--recording FILE] [--fault NAME] [--count N]. Ctrl-C ends it.')
    await interrupted
    return INTERRUPTED
  })
}

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        help: { type: 'boolean' },
        once: { type: 'boolean' },
        recording: { type: 'string' },
        fault: { type: 'string' },
        count: { type: 'string' },
      },
    })
  } catch (error) {
    throw new Refused((error as Error).message)
  }
}

function refuse(message: string): never {
  throw new Refused(message)
}

/** A stack for the length of one piece of work; Ctrl-C ends both in order. */
async function withStack(work: (stack: DevStack, interrupted: Promise<void>) => Promise<number>): Promise<number> {
  mkdirSync(home, { recursive: true })
  const keeper = new Keeper(home, say)
  let signalled = false
  const interrupted = stopSignal().then(() => void (signalled = true))
  try {
    const done = withLock(lock, () => startAll(keeper)).then((stack) => work(stack, interrupted))
    return await Promise.race([done, interrupted.then(() => INTERRUPTED)])
  } finally {
    if (signalled) say('\nStopping …')
    if (runningStack()?.pid === process.pid) rmSync(stackFile, { force: true })
    await keeper.stop()
    if (signalled) say('Everything has stopped.')
  }
}

async function startAll(keeper: Keeper): Promise<DevStack> {
  const running = runningStack() // started by another command while this one waited for its turn
  if (running) throw new Refused(`The stack is running already (pid ${running.pid}).`)
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
  writeFileSync(stackFile, JSON.stringify(stack, null, 2), { mode: 0o600 })
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

function sayAddresses(stack: DevStack): void {
  say(`\n  API        ${stack.apiUrl}/health   (all of it: ${stack.apiUrl}/docs)`)
  if (stack.temporalUiUrl) say(`  Temporal   ${stack.temporalUiUrl}/namespaces/${stack.temporalNamespace}/workflows`)
  say(`  Bucket     ${stack.s3.endpoint}/${stack.s3.bucket}   (keys in .data/dev.json)`)
  say(`  Database   psql '${stack.databaseUrl}'`)
  say('  Logs       .data/logs/')
  say('  Mails      .data/mail/')
}

async function once(stack: DevStack): Promise<number> {
  const [result] = await makeCalls(stack, { count: 1, fault: 'none' })
  const { callSid, workflowId, recordingUrl, bytes, sha256, expectedSha256, seconds } = result!
  say(JSON.stringify({ callSid, workflowId, recordingUrl, bytes, sha256, expectedSha256, seconds }))
  return sha256 === expectedSha256 && result!.asDeserved ? 0 : 1
}

async function callOn(stack: DevStack, values: { recording?: string; fault?: string; count?: string }): Promise<number> {
  const { fault = 'none', recording, count: wanted = '1' } = values
  const count = Number(wanted)
  if (!isFault(fault)) throw new Refused(`There is no fault "${fault}". Known: ${Object.keys(FAULTS).join(' ')}`)
  if (!/^\d+$/.test(wanted) || count < 1 || count > 1000) throw new Refused('--count must be a number from 1 to 1000')
  if (recording !== undefined && !statSync(recording, { throwIfNoEntry: false })?.isFile())
    throw new Refused(`There is no file "${recording}"`)
  const results = await makeCalls(stack, { count, fault, recording }, (result) => say(JSON.stringify(result)))
  return results.every(({ asDeserved }) => asDeserved) ? 0 : 1
}

async function reset(running: DevStack | undefined): Promise<number> {
  if (running) throw new Refused(`The stack is running (pid ${running.pid}): end it with Ctrl-C first.`)
  mkdirSync(home, { recursive: true })
  return withLock(lock, async () => {
    if (runningStack()) throw new Refused('A stack has just been started: end it with Ctrl-C first.')
    await clearLeftovers(home) // servers whose parent was killed
    for (const name of readdirSync(home)) {
      if (!isInUse(name)) rmSync(join(home, name), { recursive: true, force: true })
    }
    say('.data/ is empty.')
    return 0
  })
}

/** By tests (`test-<pid>`) or by chaos, which have their own places in `.data/`. */
function isInUse(name: string): boolean {
  const pid = /^test-(\d+)$/.exec(name)?.[1]
  return pid === undefined ? name === 'chaos' && existsSync(join(home, name, 'pids.json')) : commandOf(Number(pid)) !== undefined
}

function runningStack(): DevStack | undefined {
  if (!existsSync(stackFile)) return undefined
  try {
    const stack = JSON.parse(readFileSync(stackFile, 'utf8')) as DevStack
    return commandOf(stack.pid)?.includes('dev/main.ts') ? stack : undefined
  } catch {
    return undefined
  }
}
