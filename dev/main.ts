// `npm run dev`: runs the whole backend on this machine.
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ignoreOutputErrors } from '../platform/output.ts'
import { FAULTS, isFault } from '../testing/simulator/faults.ts'
import { makeCalls } from './call.ts'
import { clearLeftovers } from './supervisor.ts'
import { home, INTERRUPTED, lock, withRunningStack, Refused, print, withStack } from './lifetime.ts'
import { withLock } from './lock.mjs'
import { commandOf } from './process-table.ts'
import { findRunning } from './running-stack.ts'
import type { DevStack } from './services.ts'
import { runDemo } from './demo.ts'

process.env.NODE_ENV ||= 'development' // this command is for development
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true' // otherwise the AWS SDK prints a warning at every start on Node 20

const USAGE = `Usage:
  npm run dev                      start the whole backend, show one example call, run until Ctrl-C
  npm run dev -- --once            make one call, compare the stored object byte for byte, print JSON, exit
  npm run dev -- call [--recording FILE] [--fault NAME] [--count N]
                                   make more calls (run it in a second terminal)
  npm run dev -- reset             delete everything in .data/

Faults: ${Object.keys(FAULTS).join(' ')}`

ignoreOutputErrors() // if the terminal is closed, the stack must still stop in order
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
    print(USAGE)
    return 0
  }
  const [command, ...more] = positionals
  if (more.length > 0 || (command !== undefined && command !== 'call' && command !== 'reset')) {
    throw new Refused(`Unknown command "${positionals.join(' ')}". Usage: npm run dev [-- --once | call | reset]`)
  }
  if (command !== 'call' && (values.fault ?? values.recording ?? values.count) !== undefined) {
    throw new Refused('--recording, --fault and --count are options of the command call: npm run dev -- call --fault cut')
  }
  if (command === 'reset') return reset()
  if (command === 'call') return withRunningStack((stack) => callOn(stack, values))
  return withStack({
    join: async (stack) => {
      if (values.once) return once(stack)
      print(`The stack is already running (pid ${stack.pid}).`)
      sayAddresses(stack)
      return 0
    },
    lead: async (stack, interrupted) => {
      if (values.once) return once(stack)
      sayAddresses(stack)
      await runDemo(stack, print).catch((error: unknown) => print(`The example call could not be shown: ${(error as Error).message}`))
      print(
        '\nThe stack keeps running. Press Ctrl-C to stop it. To make more calls, run in a second terminal:\n  npm run dev -- call [--recording FILE] [--fault NAME] [--count N]',
      )
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
  print(`\n  API        ${stack.apiUrl}/health   (documentation: ${stack.apiUrl}/docs)`)
  if (stack.temporalUiUrl) print(`  Temporal   ${stack.temporalUiUrl}/namespaces/${stack.temporalNamespace}/workflows`)
  print(`  Bucket     ${stack.s3.endpoint}/${stack.s3.bucket}   (keys in .data/dev.json)`)
  print(`  Database   psql '${stack.databaseUrl}'`)
  print('  Logs       .data/logs/')
  print('  Mails      .data/mail/')
}

async function once(stack: DevStack): Promise<number> {
  const [result] = await makeCalls(stack, { count: 1, fault: 'none' })
  const { callSid, workflowId, recordingUrl, bytes, sha256, expectedSha256, seconds } = result!
  print(JSON.stringify({ callSid, workflowId, recordingUrl, bytes, sha256, expectedSha256, seconds }))
  return sha256 === expectedSha256 && result!.asDeserved ? 0 : 1
}

async function callOn(stack: DevStack, values: { recording?: string; fault?: string; count?: string }): Promise<number> {
  const { fault = 'none', recording, count: wanted = '1' } = values
  const count = Number(wanted)
  if (!isFault(fault)) throw new Refused(`Unknown fault "${fault}". Known faults: ${Object.keys(FAULTS).join(' ')}`)
  if (!/^\d+$/.test(wanted) || count < 1 || count > 1000) throw new Refused('--count must be a number from 1 to 1000')
  if (recording !== undefined && !statSync(recording, { throwIfNoEntry: false })?.isFile())
    throw new Refused(`The file "${recording}" does not exist`)
  const results = await makeCalls(stack, { count, fault, recording }, (result) => print(JSON.stringify(result)))
  return results.every(({ asDeserved }) => asDeserved) ? 0 : 1
}

async function reset(): Promise<number> {
  mkdirSync(home, { recursive: true })
  assertNotRunning()
  return withLock(lock, async () => {
    assertNotRunning()
    await clearLeftovers(home) // stops servers whose parent process was killed
    for (const name of readdirSync(home)) {
      if (!isInUse(name)) rmSync(join(home, name), { recursive: true, force: true })
    }
    print('.data/ is empty.')
    return 0
  })
}

function assertNotRunning(): void {
  const running = findRunning(home)
  if (running) throw new Refused(`The stack is running (pid ${running.pid}): stop it with Ctrl-C first.`)
}

/** True for folders of running tests (`test-<pid>`) and of a running chaos command. */
function isInUse(name: string): boolean {
  const pid = /^test-(\d+)$/.exec(name)?.[1]
  return pid === undefined
    ? name === 'chaos' && existsSync(join(home, name, 'pids.json'))
    : (commandOf(Number(pid))?.includes('jest') ?? false)
}
