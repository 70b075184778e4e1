// Runs all groups of checks side by side. A check that fails or does not end stops no other group.
import type { Config, SettingProblem } from '../../platform/config.ts'
import { DeadlineExceeded, startDeadline, withDeadline } from '../../platform/deadline.ts'
import { redact } from '../../platform/redact.ts'
import { skipped, type CheckGroup, type Finding, type RunCheck, type Verdict } from './check.ts'

/** Longer than connecting to any of the servers may take. */
export const TIME_LIMIT_MS = 10_000
/** Longer than our own texts. A server may send a longer one. */
const MAX_TEXT_LENGTH = 600

class Interrupted extends Error {}

export interface CheckOptions {
  config: Config
  unreadable: SettingProblem[]
  /** No further check starts after it is aborted. Those that clean up still do. */
  interrupted: AbortSignal
  timeLimitMs?: number
}

/** @returns the findings of each group, in the order of the groups and of their names */
export async function runChecks(groups: readonly CheckGroup[], options: CheckOptions): Promise<Finding[]> {
  return (await Promise.all(groups.map((group) => runGroup(group, options)))).flat()
}

async function runGroup(group: CheckGroup, options: CheckOptions): Promise<Finding[]> {
  const { config, unreadable, interrupted, timeLimitMs = TIME_LIMIT_MS } = options
  const missing = unreadable.find(({ setting }) => group.needs.some((each) => each === setting))
  if (missing) return group.names.map((name) => ({ name, ...skipped(`Not checked, because ${missing.setting} ${missing.message}.`) }))
  const findings = new Map<string, Verdict>()
  let stopped: string | undefined
  const record = (name: string, verdict: Verdict): boolean => {
    findings.set(name, { ...verdict, text: redact(verdict.text).slice(0, MAX_TEXT_LENGTH) })
    if (verdict.result === 'error') stopped ??= `because ${name} failed`
    return verdict.result === 'ok' || verdict.result === 'warning'
  }
  let isOver = interrupted.aborted
  const check: RunCheck = async (name, work) => {
    if (isOver) return false
    try {
      return record(name, await untilInterrupted((signal) => inTime(work, signal, timeLimitMs), interrupted))
    } catch (error) {
      isOver = error instanceof DeadlineExceeded || error instanceof Interrupted
      return error instanceof Interrupted ? false : record(name, group.explain(error, config))
    }
  }
  const finish: RunCheck = async (name, work) =>
    record(
      name,
      await inTime(work, new AbortController().signal, timeLimitMs).catch((error: unknown) => group.explain(error, config)),
    )
  await group.run(config, { check, finish }).catch((error: unknown) => {
    const first = group.names.find((name) => !findings.has(name))
    if (first !== undefined) record(first, group.explain(error, config))
  })
  const reason = interrupted.aborted ? 'because the command was interrupted' : (stopped ?? 'because it does not apply')
  return group.names.map((name) => ({ name, ...(findings.get(name) ?? skipped(`Not checked, ${reason}.`)) }))
}

/** @throws {DeadlineExceeded} also if the work ignores its signal */
async function inTime<T>(work: (signal: AbortSignal) => Promise<T>, signal: AbortSignal, ms: number): Promise<T> {
  const deadline = startDeadline(ms)
  try {
    return await withDeadline(work(AbortSignal.any([signal, deadline.signal])), ms)
  } finally {
    deadline.end()
  }
}

/** @throws {Interrupted} as soon as the signal aborts */
async function untilInterrupted<T>(work: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
  let interrupt = (): void => {}
  const interruption = new Promise<never>((_, reject) => (interrupt = () => reject(new Interrupted())))
  signal.addEventListener('abort', interrupt)
  try {
    return await Promise.race([work(signal), interruption])
  } finally {
    signal.removeEventListener('abort', interrupt)
  }
}
