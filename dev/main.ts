// `npm run dev`: the whole backend on this machine.
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ignoreOutputErrors } from '../platform/output.ts'
import { FAULTS, isFault } from '../testing/simulator/faults.ts'
import { makeCalls } from './call.ts'
import { clearLeftovers } from './supervisor.ts'
import { home, INTERRUPTED, lock, onRunning, Refused, say, withStack } from './lifetime.ts'
import { withLock } from './lock.mjs'
import { commandOf } from './process-table.ts'
import { findRunning } from './running-stack.ts'
import type { DevStack } from './services.ts'
import { runDemo } from './demo.ts'

process.env.NODE_ENV ||= 'development' // whoever runs this command asks for development
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true' // printed at every start on Node 20 else

const USAGE = `Usage:
  npm run dev                      starts everything, makes one call before your eyes, stays up until Ctrl-C
  npm run dev -- --once            makes one call, checks the stored object byte for byte, prints JSON, ends
  npm run dev -- call [--recording FILE] [--fault NAME] [--count N]     more calls, from a second terminal
  npm run dev -- reset             empties .data/`

ignoreOutputErrors() // a closed terminal must not keep the stack from ending in order
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
  if (command === 'reset') return reset()
  if (command === 'call') return onRunning((stack) => callOn(stack, values))
  return withStack({
    join: async (stack) => {
      if (values.once) return once(stack)
      say(`The stack is running already (pid ${stack.pid}).`)
      sayAddresses(stack)
      return 0
    },
    lead: async (stack, interrupted) => {
      if (values.once) return once(stack)
      sayAddresses(stack)
      await runDemo(stack, say).catch((error: unknown) => say(`The story could not be told to its end: ${(error as Error).message}`))
      say('\nThe stack stays up. More calls: npm run dev -- call [--recording FILE] [--fault NAME] [--count N]. Ctrl-C ends it.')
      await interrupted
      return INTERRUPTED
    },
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

async function reset(): Promise<number> {
  mkdirSync(home, { recursive: true })
  assertNotRunning()
  return withLock(lock, async () => {
    assertNotRunning()
    await clearLeftovers(home) // servers whose parent was killed
    for (const name of readdirSync(home)) {
      if (!isInUse(name)) rmSync(join(home, name), { recursive: true, force: true })
    }
    say('.data/ is empty.')
    return 0
  })
}

function assertNotRunning(): void {
  const running = findRunning(home)
  if (running) throw new Refused(`The stack is running (pid ${running.pid}): end it with Ctrl-C first.`)
}

/** By tests (`test-<pid>`) or by chaos, which have their own places in `.data/`. */
function isInUse(name: string): boolean {
  const pid = /^test-(\d+)$/.exec(name)?.[1]
  return pid === undefined
    ? name === 'chaos' && existsSync(join(home, name, 'pids.json'))
    : (commandOf(Number(pid))?.includes('jest') ?? false)
}
