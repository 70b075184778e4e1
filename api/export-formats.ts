// Calls as lines of a file: CSV for spreadsheets, JSON Lines for programs.
import type { CallSummary } from '../calls/list-calls.ts'
import { plain } from './plain.ts'

export type ExportFormat = 'csv' | 'jsonl'

interface Format {
  contentType: string
  header: string
  line(call: CallSummary): string
}

const COLUMNS = [
  'callSid',
  'time',
  'status',
  'direction',
  'from',
  'to',
  'agent',
  'exophone',
  'customField',
  'durationSeconds',
  'state',
  'stateSince',
  'errorCode',
  'error',
  'nextTryAt',
  'givenUpAt',
] as const satisfies (keyof CallSummary)[]

export const EXPORT_FORMATS: Record<ExportFormat, Format> = {
  csv: {
    contentType: 'text/csv; charset=utf-8; header=present',
    header: csvLine(COLUMNS),
    line: (call) => {
      const values = plain(call)
      return csvLine(COLUMNS.map((column) => values[column] ?? ''))
    },
  },
  jsonl: { contentType: 'application/jsonl; charset=utf-8', header: '', line: (call) => `${JSON.stringify(plain(call))}\n` },
}

/** RFC 4180 */
function csvLine(cells: readonly (string | number)[]): string {
  return `${cells.map((cell) => quoted(harmless(String(cell)))).join(',')}\r\n`
}

function quoted(cell: string): string {
  return /[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell
}

/** A spreadsheet would calculate a cell that starts like a formula. A phone number is not changed, so that it can be imported again. */
function harmless(cell: string): string {
  return /^[\s\p{Cc}]*[=+\-@＝＋－＠|%]/u.test(cell) && !/^\+?\d+$/.test(cell) ? `'${cell}` : cell
}
