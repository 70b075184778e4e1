// Runs all groups of checks side by side. A check that fails or does not end stops no other group.
import type { Config, SettingProblem } from '../../platform/config.ts'
import { DeadlineExceeded, startDeadline, withDeadline } from '../../platform/deadline.ts'
import { redact } from '../../platform/redact.ts'
import { skipped, type CheckGroup, type Finding, type Runner, type Verdict } from './check.ts'

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
  const { config, unreadable, interrupted } = options
  const missing = unreadable.find(({ setting }) => group.needs.some((each) => each === setting))
  if (missing) return group.names.map((name) => ({ name, ...skipped(`Not checked, because ${missing.setting} ${missing.message}.`) }))
  const verdicts = new Map<string, Verdict>()
  const record = (name: string, { text, ...verdict }: Verdict): void =>
    void verdicts.set(name, { ...verdict, text: redact(text).slice(0, MAX_TEXT_LENGTH) })
  // The connection of the group could not even be prepared.
  await group.run(config, createRunner(group, options, record)).catch((error: unknown) => {
    const first = group.names.find((name) => !verdicts.has(name))
    if (first !== undefined) record(first, group.explain(error, config))
  })
  const failed = group.names.find((name) => verdicts.get(name)?.result === 'error')
  const unchecked = skipped(
    interrupted.aborted ? 'Not checked, because the command was interrupted.' : `Not checked, because ${failed} failed.`,
  )
  return group.names.map((name) => ({ name, ...(verdicts.get(name) ?? unchecked) }))
}

function createRunner(
  group: CheckGroup,
  { config, interrupted, timeLimitMs = TIME_LIMIT_MS }: CheckOptions,
  record: (name: string, verdict: Verdict) => void,
): Runner {
  /** A server that did not respond in time would probably not respond to the next check either. */
  let isSilent = false
  return {
    async check(name, work) {
      if (isSilent || interrupted.aborted) return false
      const verdict = await untilInterrupted((signal) => inTime(work, signal, timeLimitMs), interrupted).catch((error: unknown) => {
        isSilent = error instanceof DeadlineExceeded
        return error instanceof Interrupted ? undefined : group.explain(error, config)
      })
      if (verdict) record(name, verdict)
      return verdict?.result === 'ok' || verdict?.result === 'warning'
    },
    async finish(name, work) {
      const uninterrupted = new AbortController().signal
      const verdict = await inTime(work, uninterrupted, timeLimitMs).catch((error: unknown) => group.explain(error, config))
      record(name, verdict)
      return verdict.result === 'ok'
    },
  }
}

/** @throws {DeadlineExceeded} after the time limit, whether the work ignores its signal or throws another error because of it */
async function inTime<T>(work: (signal: AbortSignal) => Promise<T>, signal: AbortSignal, ms: number): Promise<T> {
  const deadline = startDeadline(ms)
  try {
    return await withDeadline(work(AbortSignal.any([signal, deadline.signal])), ms)
  } catch (error) {
    throw deadline.signal.aborted ? deadline.signal.reason : error
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
