// The command without the process around it.
import { parseArgs } from 'node:util'
import { inspectSettings } from '../../platform/config.ts'
import { EnvFileUnreadable } from '../../platform/env-file.ts'
import { bucketChecks } from './bucket-checks.ts'
import { fault, messageOf, skipped, type CheckGroup, type Finding } from './check.ts'
import { databaseChecks, ownerDatabaseChecks } from './database-checks.ts'
import { exotelApiChecks, recordingHostChecks, webhookChecks } from './exotel-checks.ts'
import { mailChecks } from './mail-checks.ts'
import { nodeChecks } from './node-checks.ts'
import { EXIT_CODES, hasErrors, jsonReport, textReport } from './report.ts'
import { runChecks } from './run-checks.ts'
import { settingFindings } from './setting-findings.ts'
import type { SettingsSource } from './settings-source.ts'
import { spoolChecks } from './spool-checks.ts'
import { temporalChecks } from './temporal-checks.ts'

const USAGE = `Usage: npm run doctor [-- --json]
  Reads the settings and tests every connection as API and worker use it. Changes nothing: its test objects in the bucket are deleted.
  --json    print one JSON object: {ok, checks: [{name, result, text, setting?}]}
Exit codes: 0 no errors, 1 errors, 2 settings that cannot be read or wrong arguments, 130 interrupted. See docs/operations.md.`

const GROUPS: readonly CheckGroup[] = [
  nodeChecks,
  databaseChecks,
  ownerDatabaseChecks,
  temporalChecks,
  bucketChecks,
  exotelApiChecks,
  webhookChecks,
  recordingHostChecks,
  mailChecks,
  spoolChecks,
]

/** The names of all checks, in the order of the result. */
export const CHECK_NAMES = ['settings', 'production-settings', ...GROUPS.flatMap(({ names }) => names)]

export interface DoctorOptions {
  /** @throws {EnvFileUnreadable} */
  findSettings: () => SettingsSource
  print: (line: string) => void
  printError: (line: string) => void
  interrupted: AbortSignal
  timeLimitMs?: number
}

/** @returns the exit code */
export async function runDoctor(args: string[], options: DoctorOptions): Promise<number> {
  const { print, printError, interrupted } = options
  const wanted = readArguments(args)
  if (wanted.kind === 'wrong') {
    printError(`${wanted.problem}. ${USAGE}`)
    return EXIT_CODES.unreadable
  }
  if (wanted.kind === 'help') {
    print(USAGE)
    return EXIT_CODES.fine
  }
  const { findings, isUnreadable } = await examine(options)
  print(wanted.kind === 'json' ? jsonReport(findings) : textReport(findings))
  if (interrupted.aborted) return EXIT_CODES.interrupted
  if (isUnreadable) return EXIT_CODES.unreadable
  return hasErrors(findings) ? EXIT_CODES.faulty : EXIT_CODES.fine
}

async function examine({ findSettings, interrupted, timeLimitMs }: DoctorOptions): Promise<{ findings: Finding[]; isUnreadable: boolean }> {
  let source: SettingsSource
  try {
    source = findSettings()
  } catch (error) {
    if (!(error instanceof EnvFileUnreadable)) throw error
    const others = CHECK_NAMES.slice(1).map((name) => ({ name, ...skipped('Not checked, because the settings cannot be read.') }))
    return { findings: [{ name: 'settings', ...fault(messageOf(error)) }, ...others], isUnreadable: true }
  }
  const { config, problems } = inspectSettings(source.env)
  const unreadable = problems.filter(({ kind }) => kind === 'unreadable')
  const checked = await runChecks(GROUPS, { config, unreadable, interrupted, ...(timeLimitMs !== undefined && { timeLimitMs }) })
  return { findings: [...settingFindings(config, problems, source.name), ...checked], isUnreadable: unreadable.length > 0 }
}

function readArguments(args: string[]): { kind: 'text' | 'json' | 'help' } | { kind: 'wrong'; problem: string } {
  try {
    const { values } = parseArgs({ args, options: { json: { type: 'boolean' }, help: { type: 'boolean' } } })
    return { kind: values.help ? 'help' : values.json ? 'json' : 'text' }
  } catch (error) {
    return { kind: 'wrong', problem: messageOf(error) }
  }
}
