// The result of the command, for people and for machines.
import type { Finding } from './check.ts'

/** docs/operations.md explains them. */
export const EXIT_CODES = { fine: 0, faulty: 1, unreadable: 2, interrupted: 130 }

/** One line for each finding, and a summary. */
export function textReport(findings: Finding[]): string {
  const width = Math.max(...findings.map(({ name }) => name.length))
  const lines = findings.map(({ name, result, text }) => `${result.padEnd('warning'.length)}  ${name.padEnd(width)}  ${text}`)
  return [...lines, '', summaryOf(findings)].join('\n')
}

/** One line. `ok` is true if there is no error. */
export function jsonReport(findings: Finding[]): string {
  const checks = findings.map(({ name, result, text, setting }) => ({ name, result, text, ...(setting !== undefined && { setting }) }))
  return JSON.stringify({ ok: !hasErrors(findings), checks })
}

export function hasErrors(findings: Finding[]): boolean {
  return findings.some(({ result }) => result === 'error')
}

function summaryOf(findings: Finding[]): string {
  const count = (wanted: Finding['result']): number => findings.filter(({ result }) => result === wanted).length
  const plural = (number: number, what: string): string => `${number === 0 ? 'No' : number} ${what}${number === 1 ? '' : 's'}`
  const [errors, warnings] = [plural(count('error'), 'error'), plural(count('warning'), 'warning').toLowerCase()]
  return `${errors}, ${warnings}; ${count('skipped')} of ${findings.length} checks were skipped.`
}
