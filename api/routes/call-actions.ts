// What operators do to a call: retry a recording, stop its run, mark a recording as not expected.
import type { Client } from '@temporalio/client'
import type { Response } from 'express'
import { z } from 'zod'
import type { AccountsContext } from '../../accounts/context.ts'
import {
  ActionRefused,
  assertStoppable,
  markNotExpected,
  recordAction,
  retryRecording,
  type Action,
  type ActionResult,
} from '../../calls/operator-actions.ts'
import type { Database } from '../../platform/database.ts'
import { problem } from '../../platform/http-problems.ts'
import { withDeadline } from '../../platform/deadline.ts'
import { cancelRun } from '../../temporal/open-runs.ts'
import type { Limits } from '../limits.ts'
import { identityOf } from '../middleware/authenticate.ts'
import { RETRY_AFTER_OUTAGE } from '../middleware/errors.ts'
import { requireRole } from '../middleware/require-role.ts'
import { operation, type Operation } from '../operation.ts'
import { callSid, rowId } from './call-parameters.ts'

export interface ActionDependencies {
  database: Database
  accounts: AccountsContext
  limits: Limits
  temporal: () => Promise<Client>
  /** Called after an event for the relay was committed. */
  onPending: () => void
}

const CONNECT_DEADLINE_MS = 6000

/** Why a person does something. Shown to others as text. */
export const reason = z
  .string()
  .trim()
  .min(1)
  .max(500)
  // All control characters. The fuzzer cannot generate texts for `\P{Cc}`.
  // oxlint-disable-next-line no-control-regex
  .regex(/^[^\x00-\x1F\x7F-\x9F]*$/, 'must be one line')

export const actionAnswer = z.strictObject({
  result: z.enum(['done', 'repeated']).meta({ description: 'repeated: it was done before, and nothing was changed' }),
})

export function callActionOperations(deps: ActionDependencies): Operation[] {
  const operator = {
    method: 'post',
    tag: 'calls',
    security: 'user',
    role: 'operator',
    guards: [deps.limits.perAddress('general'), requireRole(deps.accounts, 'operator')],
    statuses: [202],
    answer: actionAnswer,
    problems: ['action_refused'],
  } satisfies Partial<Operation>
  const ofCall = z.strictObject({ callSid })
  const optionalReason = z.strictObject({ reason: reason.optional() }).optional()
  return [
    operation({
      ...operator,
      path: '/api/calls/{callSid}/recordings/{recordingId}/retry',
      summary: 'Starts a failed or quarantined recording again at once',
      parameters: ofCall.extend({ recordingId: rowId }),
      body: optionalReason,
      handle: async (body, _request, response, { path }) => ({ result: await retry(deps, response, { ...path, reason: body?.reason }) }),
    }),
    operation({
      ...operator,
      path: '/api/calls/{callSid}/retry',
      summary: 'Searches again for a recording of a call whose search has failed',
      parameters: ofCall,
      body: optionalReason,
      handle: async (body, _request, response, { path }) => ({ result: await retry(deps, response, { ...path, reason: body?.reason }) }),
    }),
    operation({
      ...operator,
      path: '/api/calls/{callSid}/stop',
      summary: 'Stops the run of a call. What it has not stored becomes failed with the code Cancelled, and can be retried',
      parameters: ofCall,
      body: optionalReason,
      problems: ['action_refused', 'temporal_unavailable'],
      handle: async (body, _request, response, { path }) => ({
        result: await act(deps, response, { action: 'stop', ...path, reason: body?.reason }, async () => {
          await assertStoppable(deps.database, path.callSid)
          const isCancelled = await withTemporal(deps, (temporal) => cancelRun(temporal, path.callSid))
          if (!isCancelled) throw new ActionRefused('No run of the call is open. If its recording is waited for, recovery starts one')
          return 'done'
        }),
      }),
    }),
    operation({
      ...operator,
      path: '/api/calls/{callSid}/not-expected',
      summary: 'Marks a call whose search for a recording failed as a call without a recording',
      parameters: ofCall,
      body: z.strictObject({ reason }),
      handle: async (body, _request, response, { path }) => ({
        result: await act(deps, response, { action: 'mark_not_expected', ...path, reason: body.reason }, () =>
          markNotExpected(deps.database, path.callSid),
        ),
      }),
    }),
  ]
}

async function retry(
  deps: ActionDependencies,
  response: Response,
  call: Pick<Action, 'recordingId' | 'reason'> & { callSid: z.infer<typeof callSid> },
): Promise<ActionResult> {
  const result = await act(deps, response, { action: 'retry', ...call }, () => retryRecording(deps.database, call))
  deps.onPending()
  return result
}

/**
 * Counts, does and records an action of the user.
 * @throws {Problem} `rate_limited`, `action_refused`
 */
export async function act(
  { database, limits }: Pick<ActionDependencies, 'database' | 'limits'>,
  response: Response,
  action: Omit<Action, 'userId' | 'userEmail'>,
  work: () => Promise<ActionResult>,
): Promise<ActionResult> {
  const { userId, email } = identityOf(response)
  await limits.countAction(userId)
  return recordAction(database, { ...action, userId, userEmail: email }, work).catch((error: unknown) => {
    throw error instanceof ActionRefused ? problem('action_refused', error.message) : error
  })
}

/** @throws {Problem} `temporal_unavailable` */
export async function withTemporal<T>(
  { temporal }: Pick<ActionDependencies, 'temporal'>,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  try {
    return await work(await withDeadline(temporal(), CONNECT_DEADLINE_MS))
  } catch (error) {
    if (error instanceof ActionRefused) throw error
    throw problem('temporal_unavailable', 'Temporal does not respond: please try again', RETRY_AFTER_OUTAGE)
  }
}
