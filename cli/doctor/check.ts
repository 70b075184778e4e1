// The types of checks and of their results.
import { types } from 'node:util'
import type { Config } from '../../platform/config.ts'

/** `warning`: works, but an operator should know. `skipped`: not checked, or not needed; the text says why. */
export interface Verdict {
  result: 'ok' | 'warning' | 'error' | 'skipped'
  text: string
  /** The setting to change. */
  setting?: string
}

/** One line of the result. A check that finds several faults has several lines. */
export interface Finding extends Verdict {
  name: string
}

/**
 * Runs one check.
 * @param work gets a signal that aborts after the time limit, and when the command is interrupted
 * @returns true if checks that depend on this one can run
 */
type RunCheck = (name: string, work: (signal: AbortSignal) => Promise<Verdict>) => Promise<boolean>

export interface Runner {
  check: RunCheck
  /** Runs a check also if the command was interrupted, or if another check reached its time limit: it cleans up. */
  finish: RunCheck
}

/** Checks that share a connection. They run one after the other, and beside the other groups. */
export interface CheckGroup<Setting extends keyof Config = keyof Config> {
  /** The name of each check, in the order of the result. Names that get no finding are skipped. */
  names: readonly string[]
  /** The settings that the checks read. If one of them cannot be read, all checks of the group are skipped. */
  needs: readonly Setting[]
  run(settings: Pick<Config, Setting>, runner: Runner): Promise<void>
  /** Says what an error of a check means. */
  explain(error: unknown, settings: Pick<Config, Setting>): Verdict
}

export function ok(text: string): Verdict {
  return { result: 'ok', text }
}

export function warning(text: string, setting?: keyof Config): Verdict {
  return { result: 'warning', text, ...(setting && { setting }) }
}

/** @param setting absent if no setting corrects it */
export function fault(text: string, setting?: keyof Config): Verdict {
  return { result: 'error', text, ...(setting && { setting }) }
}

export function skipped(text: string): Verdict {
  return { result: 'skipped', text }
}

export function messageOf(error: unknown): string {
  return types.isNativeError(error) ? error.message || error.name : String(error)
}
