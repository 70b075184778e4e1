// Retries all failed calls that match filters, with a dry run and progress.
import { z } from 'zod'
import { countRetryable, endBulkRetry, insertBulkRetry, listBulkRetries, MOST_COUNTED } from '../../calls/bulk-retries.ts'
import { cancelBulkRetry, startBulkRetry } from '../../temporal/bulk-retry.ts'
import { problem } from '../../platform/http-problems.ts'
import { identityOf } from '../middleware/authenticate.ts'
import { requireRole } from '../middleware/require-role.ts'
import { operation, type Operation } from '../operation.ts'
import { plain } from '../plain.ts'
import { reason, withTemporal, type ActionDependencies } from './call-actions.ts'
import { count, moment } from './call-parameters.ts'
import { callFilters } from './calls.ts'

const bulkRetry = z.strictObject({
  id: z.uuid(),
  reason: z.string(),
  userEmail: z.string(),
  state: z.enum(['running', 'done', 'cancelled', 'failed']),
  matches: count.meta({ description: `Matching calls when it was started; ${MOST_COUNTED} stands for that many or more` }),
  retried: count,
  skipped: count.meta({ description: 'Calls that had been started again by somebody else' }),
  createdAt: moment,
  updatedAt: moment,
  finishedAt: moment.nullable(),
})

export function bulkRetryOperations(deps: ActionDependencies): Operation[] {
  const { database, accounts, limits } = deps
  const operator = {
    tag: 'operations',
    security: 'user',
    role: 'operator',
    guards: [limits.perAddress('general'), requireRole(accounts, 'operator')],
    problems: [],
  } satisfies Partial<Operation>
  return [
    operation({
      ...operator,
      method: 'get',
      path: '/api/operations/retries',
      summary: 'The newest bulk retries with their progress',
      statuses: [200],
      answer: z.strictObject({ retries: z.array(bulkRetry) }),
      handle: async () => plain({ retries: await listBulkRetries(database) }),
    }),
    operation({
      ...operator,
      method: 'post',
      path: '/api/operations/retries/dry-run',
      summary: 'How many calls a bulk retry with these filters would start again. Changes nothing',
      body: z.strictObject({ filters: callFilters }),
      statuses: [200],
      answer: z.strictObject({ matches: count }),
      handle: async (body) => ({ matches: await countRetryable(database, body.filters) }),
    }),
    operation({
      ...operator,
      method: 'post',
      path: '/api/operations/retries',
      summary: 'Starts all failed calls again that match the filters, at most five per second. One bulk retry runs at a time',
      body: z.strictObject({ filters: callFilters, reason }),
      statuses: [202],
      answer: bulkRetry,
      problems: ['action_refused', 'temporal_unavailable'],
      async handle(body, _request, response) {
        const { userId, email } = identityOf(response)
        await limits.countAction(userId)
        const matches = await countRetryable(database, body.filters)
        if (matches === 0) throw problem('action_refused', 'No failed call matches the filters')
        const row = await insertBulkRetry(database, { ...body, userId, userEmail: email, matches })
        if (!row) throw problem('action_refused', 'Another bulk retry is running: wait until it has ended, or cancel it')
        await withTemporal(deps, (temporal) => startBulkRetry(temporal, row.id)).catch(async (error: unknown) => {
          await endBulkRetry(database, row.id, 'failed')
          throw error
        })
        return plain(row)
      },
    }),
    operation({
      ...operator,
      method: 'post',
      path: '/api/operations/retries/{id}/cancel',
      summary: 'Ends a bulk retry. Calls that it has started again are not stopped',
      parameters: z.strictObject({ id: z.uuid() }),
      body: z.strictObject({}).optional(),
      statuses: [202],
      answer: bulkRetry,
      problems: ['temporal_unavailable'],
      async handle(_body, _request, response, { path }) {
        await limits.countAction(identityOf(response).userId)
        // The row first: the workflow handles no further calls, even if Temporal cannot be reached.
        const row = await endBulkRetry(database, path.id, 'cancelled')
        if (!row) throw problem('not_found', 'There is no such bulk retry')
        await withTemporal(deps, (temporal) => cancelBulkRetry(temporal, path.id))
        return plain(row)
      },
    }),
  ]
}
