// What is wrong with the settings themselves, before any server is asked.
import type { Config, SettingProblem } from '../../platform/config.ts'
import { fault, ok, skipped, type Finding, type Verdict } from './check.ts'

/** @param source where the settings come from, for people */
export function settingFindings({ NODE_ENV }: Config, problems: SettingProblem[], source: string): Finding[] {
  const invalid = problems.filter(({ kind }) => kind !== 'insecure')
  const verdicts = invalid.length > 0 ? invalid.map(faultOf) : [ok(`All settings can be read, from ${source}.`)]
  return [...named('settings', verdicts), ...named('production-settings', ofProduction(NODE_ENV, problems))]
}

function ofProduction(environment: Config['NODE_ENV'], problems: SettingProblem[]): Verdict[] {
  if (problems.some(({ kind }) => kind === 'unreadable')) return [skipped('Not checked, because some settings cannot be read.')]
  if (environment !== 'production') return [skipped(`Not checked: NODE_ENV is ${environment}, where insecure settings are permitted.`)]
  const insecure = problems.filter(({ kind }) => kind === 'insecure')
  return insecure.length > 0 ? insecure.map(faultOf) : [ok('Production accepts the settings.')]
}

function faultOf({ setting, message }: SettingProblem): Verdict {
  return { ...fault(`${setting} ${message}.`), setting }
}

function named(name: string, verdicts: Verdict[]): Finding[] {
  return verdicts.map((verdict) => ({ name, ...verdict }))
}
