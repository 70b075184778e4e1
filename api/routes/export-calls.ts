// Exports calls as a file, in portions, so that the size of an export does not matter.
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { z } from 'zod'
import type { AccountsContext } from '../../accounts/context.ts'
import { listCalls, type CallFilters, type CallSummary } from '../../calls/list-calls.ts'
import { addExport } from '../../calls/recording-accesses.ts'
import type { Database } from '../../platform/database.ts'
import type { Logger } from '../../platform/logger.ts'
import { problem } from '../../platform/http-problems.ts'
import { EXPORT_FORMATS, type ExportFormat } from '../export-formats.ts'
import { clientOf, type Limits } from '../limits.ts'
import { identityOf } from '../middleware/authenticate.ts'
import { requireRole } from '../middleware/require-role.ts'
import { operation, type Operation } from '../operation.ts'
import { filterFields, withValidRanges } from './calls.ts'

export interface ExportDependencies {
  database: Database
  accounts: AccountsContext
  limits: Limits
  logger: Logger
}

const PORTION = 500
/** A client that reads less within 30 s is disconnected (`CONNECTION_LIMITS`). */
const WRITE_BYTES = 16 * 1024
const MOST_AT_ONCE = 4
const formats = Object.keys(EXPORT_FORMATS) as [ExportFormat, ...ExportFormat[]]

export function exportOperations({ database, accounts, limits, logger }: ExportDependencies): Operation[] {
  let running = 0
  return [
    operation({
      method: 'get',
      path: '/api/exports/calls',
      summary: 'The calls that match the filters, the newest first, as CSV or JSON Lines. Records who exported what',
      tag: 'calls',
      security: 'user',
      role: 'operator',
      guards: [limits.perAddress('general'), requireRole(accounts, 'operator')],
      query: withValidRanges(z.strictObject({ ...filterFields, format: z.enum(formats).default('csv') })),
      statuses: [200],
      content: Object.values(EXPORT_FORMATS).map(({ contentType }) => contentType.split(';')[0]!),
      problems: ['busy'],
      async handle(_body, request, response, { query }) {
        const { format, ...filters } = query
        const { contentType } = EXPORT_FORMATS[format]
        const identity = identityOf(response)
        response.set({ 'content-type': contentType, 'content-disposition': `attachment; filename="calls.${format}"` })
        if (request.method === 'HEAD') return void response.end()
        await limits.countAction(identity.userId)
        if (running >= MOST_AT_ONCE) throw problem('busy', 'Other exports are running: please try again', { 'Retry-After': '30' })
        running += 1
        try {
          await addExport(database, { ...identity, source: clientOf(request) }, filters)
          const first = await listCalls(database, filters, { limit: PORTION })
          await pipeline(Readable.from(inSlices(linesOf(database, filters, format, first))), response).catch((error: unknown) => {
            // A client that gets no regular end knows that the file is not complete.
            if (!response.closed) logger.error({ error }, 'Export has ended early')
            response.destroy()
          })
        } finally {
          running -= 1
        }
      },
    }),
  ]
}

async function* linesOf(database: Database, filters: CallFilters, format: ExportFormat, first: CallSummary[]): AsyncGenerator<string> {
  const { header, line } = EXPORT_FORMATS[format]
  yield header
  for (let calls = first; calls.length > 0; calls = await listCalls(database, filters, { after: calls.at(-1)!, limit: PORTION })) {
    for (const call of calls) yield line(call)
    if (calls.length < PORTION) return
  }
}

/** Joins lines to texts of about {@link WRITE_BYTES}. */
async function* inSlices(lines: AsyncIterable<string>): AsyncGenerator<string> {
  let [slice, bytes] = ['', 0]
  for await (const line of lines) {
    slice += line
    bytes += Buffer.byteLength(line)
    if (bytes < WRITE_BYTES) continue
    yield slice
    ;[slice, bytes] = ['', 0]
  }
  if (slice !== '') yield slice
}
