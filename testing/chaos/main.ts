// `npm run chaos -- [--minutes M] [--calls N] [--seed S]`: runs the whole backend while faults are injected, then verifies with
// independent code that no recording was lost. The last line is JSON. The exit code is 0 only if no fault of the product was found.
import { Client, Connection } from '@temporalio/client'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { buildInto } from '../../dev/build.ts'
import { clearLeftovers, Supervisor } from '../../dev/supervisor.ts'
import { CannotStart, runMain } from '../../platform/process.ts'
import { SCHEDULES } from '../../contracts/names.ts'
import { isUrgent, planCalls } from './call-mix.ts'
import { check, type Findings } from './checker.ts'
import { injectFaults } from './inject-faults.ts'
import { runFullObjectCheck } from './object-check.ts'
import { makePlan, planConditions, planWorkflowFaults, seededRandom, type InjectedFault, type WorkflowFault } from './plan.ts'
import { startChaosStack, type ChaosStack } from './stack.ts'
import { makeTraffic } from './traffic.ts'
import type { GroundTruth } from './ground-truth.ts'

const home = fileURLToPath(new URL('../../.data/chaos', import.meta.url))
const GIVEN = ['DATABASE_URL', 'TEMPORAL_ADDRESS', 'WASABI_ENDPOINT', 'EXOTEL_API_BASE_URL']
const SETTLE_TIMEOUT_MS = 8 * 60_000
const print = (text: string): void => console.log(text)

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true'
runMain(async () => {
  const { minutes, calls, seed } = readOptions()
  const given = GIVEN.filter((name) => process.env[name])
  if (given.length > 0) throw new CannotStart(`Chaos kills the servers that it uses: unset ${given.join(', ')}, so that it starts its own.`)
  await clearLeftovers(home)
  rmSync(home, { recursive: true, force: true })
  mkdirSync(home, { recursive: true })
  const supervisor = new Supervisor(home, print)
  process.once('SIGINT', () => void supervisor.stop().then(() => process.exit(130)))
  const startedAt = performance.now()
  try {
    const dist = join(home, 'dist')
    await buildInto(dist)
    const plan = makePlan(seededRandom(seed), minutes)
    const planned = planCalls(seededRandom(seed + 1), { calls, minutes, folder: join(home, 'recordings') })
    const notUrgent = planned.filter((call) => !isUrgent(call)).map((call) => call.plan.callSid)
    const workflowFaults = planWorkflowFaults(seededRandom(seed + 3), notUrgent)
    const conditions = planConditions(seededRandom(seed + 4))
    print(`Seed ${seed}: ${calls} calls in ${minutes} min, ${plan.length} injected faults:`)
    for (const injectedFault of plan) print(`  ${describe(injectedFault)}`)
    for (const [callSid, fault] of workflowFaults) print(`  ${describeWorkflowFault(callSid, fault)}`)
    print(
      `The database lacks the newest migration for the first ${conditions.behindForMs / 1000} s. S3 lists ${conditions.keysInPage} objects per page.`,
    )
    const stack = await startChaosStack(supervisor, { home, dist, random: seededRandom(seed + 2), conditions, workflowFaults })
    const [truth] = await Promise.all([makeTraffic(stack.simulator, planned), injectFaults(plan, stack, supervisor)])
    print('All faults have ended. Waiting until all recordings have their final state.')
    const findings = await settle(truth, stack)
    findings.wrong.push(...stack.wrongAtStart, ...(await runFullObjectCheck(stack.places)))
    const counts = { ...countsOf(plan), troubledWorkflows: workflowFaults.size, ...sizes(findings) }
    const result = { seed, minutes, calls, recordings: recordingsIn(truth), ...counts }
    await stack.close()
    await supervisor.stop()
    for (const [kind, entries] of Object.entries(findings)) for (const entry of entries as string[]) print(`${kind}: ${entry}`)
    print(JSON.stringify({ ...result, seconds: Math.round((performance.now() - startedAt) / 1000) }))
    process.exit(isClean(findings) ? 0 : 1)
  } catch (error) {
    await supervisor.stop()
    throw error
  }
})

/**
 * Repeats the check until it finds nothing, or until the timeout; returns the findings of the last check. Recordings that always fail
 * are retried by recovery for as long as the run lasts. When only such attempts remain, recovery is paused, as an operator would do, so
 * that no attempt is running during the last check.
 */
async function settle(truth: GroundTruth, { places }: ChaosStack): Promise<Findings> {
  for (const deadline = performance.now() + SETTLE_TIMEOUT_MS; ; await pause(5000)) {
    const findings = await check(truth, places)
    if (isClean(findings) || performance.now() > deadline) return findings
    if (faultsIn(findings).length === findings.orphans.length) await pauseRecovery(places.temporal)
    print(`  ${JSON.stringify(sizes(findings))} ${faultsIn(findings)[0]}`)
  }
}

async function pauseRecovery({ address, namespace }: ChaosStack['places']['temporal']): Promise<void> {
  const connection = await Connection.connect({ address })
  await new Client({ connection, namespace }).schedule.getHandle(SCHEDULES.recovery).pause('the last check of a chaos run')
  await connection.close()
}

function isClean(findings: Findings): boolean {
  return faultsIn(findings).length === 0
}

/** Unacknowledged recordings are reported, but they are not faults of the product. */
function faultsIn({ lost, duplicated, wrong, orphans, leaked }: Findings): string[] {
  return [...lost, ...duplicated, ...wrong, ...orphans, ...leaked]
}

function sizes(findings: Findings): Record<string, number> {
  return Object.fromEntries(Object.entries(findings).map(([kind, entries]) => [kind, (entries as string[]).length]))
}

function countsOf(plan: InjectedFault[]): { kills: number; pauses: number; cuts: number } {
  const count = (...kinds: InjectedFault['what'][]): number => plan.filter(({ what }) => kinds.includes(what)).length
  return { kills: count('kill', 'restart'), pauses: count('pause'), cuts: count('cut', 'stall', 'slow', 'break', 'refuse') }
}

function recordingsIn({ calls }: GroundTruth): number {
  return Object.values(calls).reduce((sum, { recordings }) => sum + recordings.length, 0)
}

function describe({ atMs, forMs, what, target }: InjectedFault): string {
  const lasts = what === 'kill' || what === 'restart' ? '' : ` for ${(forMs / 1000).toFixed(1)} s`
  return `${(atMs / 1000).toFixed(1)} s  ${what} ${target}${lasts}`
}

function describeWorkflowFault(callSid: string, { what, forMs }: WorkflowFault): string {
  return `start of workflow recording-${callSid}: ${what} for ${(forMs / 1000).toFixed(1)} s`
}

function readOptions(): { minutes: number; calls: number; seed: number } {
  const text = { type: 'string' } as const
  const { values } = parseArgs({ options: { minutes: text, calls: text, seed: text } })
  const number = (name: 'minutes' | 'calls' | 'seed', fallback: number): number => {
    const value = Number(values[name] ?? fallback)
    if (!(value > 0) || (name !== 'minutes' && !Number.isInteger(value)))
      throw new CannotStart(`--${name} must be a positive ${name === 'minutes' ? 'number' : 'whole number'}`)
    return value
  }
  return { minutes: number('minutes', 2), calls: number('calls', 60), seed: number('seed', Math.floor(Math.random() * 1e6) + 1) }
}
