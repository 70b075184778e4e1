import { Router, type Request, type Response } from 'express'
import type { EventRecorder } from '../../calls/event-recorder.ts'
import { recordUnreadable } from '../../calls/record-event.ts'
import {
  InvalidCallSid,
  deliveryIdentity,
  readCallEvent,
  unreadableIdentity,
  WEBHOOK_ROUTES,
  type WebhookRoute,
} from '../../exotel/call-event.ts'
import { decodeBody, decodeForm, UnreadableDelivery } from '../../exotel/decode-fields.ts'
import type { Database } from '../../platform/database.ts'
import type { Logger } from '../../platform/logger.ts'
import { counter } from '../../platform/metrics.ts'
import { problem } from '../../platform/http-problems.ts'
import { isDatabaseOutage } from '../../platform/database-errors.ts'
import { retrying, type RetryPolicy } from '../../platform/retry.ts'
import { withDeadline } from '../../platform/deadline.ts'
import { RETRY_AFTER_OUTAGE } from '../middleware/errors.ts'
import type { Limits } from '../limits.ts'
import { queryOf, rawQueryOf, requireWebhookAuth, type WebhookAuth } from '../middleware/require-webhook-auth.ts'

export interface WebhookDependencies {
  database: Database
  events: EventRecorder
  /** Nothing is recorded while the state is `starting`: the database may lack a migration of this build. */
  lifecycle: { state: 'starting' | 'serving' | 'draining' }
  logger: Logger
  auth: WebhookAuth
  limits: Limits
  /** Recording an event is idempotent, so that it is retried after a broken connection instead of responding 503. */
  databaseRetry: RetryPolicy
  /** Called after an event for the relay was committed, so that the relay does not wait for its next poll. */
  onPending: () => void
}

/** Exotel's timeout is 15 s. The caller of a Passthru flow hears silence until we respond. */
const POST_DEADLINE_MS = 8000
const GET_DEADLINE_MS = 1500

const deliveries = counter('webhook_deliveries_total', 'Authenticated webhooks by result', ['route', 'result'])

export function webhookRoutes(deps: WebhookDependencies): Router {
  const router = Router({ strict: false })
  const origin = requireWebhookAuth(deps.auth, { logger: deps.logger, refusalLimit: deps.limits.perAddress('general') })
  for (const route of WEBHOOK_ROUTES) router.all(`/${route}`, origin, (request, response) => receive(deps, route, request, response))
  return router
}

/**
 * Reads, records and acknowledges an event. A POST is acknowledged only if its event was committed. A GET is acknowledged even if the
 * event cannot be recorded, because a caller waits on the line.
 */
async function receive(deps: WebhookDependencies, route: WebhookRoute, request: Request, response: Response): Promise<void> {
  const method = request.method === 'GET' ? 'GET' : 'POST'
  const rawBody = method === 'GET' ? Buffer.from(publicQuery(request)) : (request.body as Buffer)
  const contentType = request.get('content-type')
  const requestId = response.locals.requestId as string
  const delivery = { source: 'exotel' as const, route, rawBody, contentType, requestId }
  const retry = { what: 'record event', isTransient: isDatabaseOutage, logger: deps.logger }
  const save = async <T>(work: () => Promise<T>): Promise<T> => {
    if (deps.lifecycle.state === 'starting') throw new Error('PostgreSQL was not reached yet, or it lacks migrations of this build')
    return withDeadline(retrying(deps.databaseRetry, retry, work), method === 'GET' ? GET_DEADLINE_MS : POST_DEADLINE_MS)
  }
  try {
    const fields = method === 'GET' ? decodeForm(publicQuery(request)) : await decodeBody(rawBody, contentType)
    const event = readCallEvent(fields, route)
    const identity = deliveryIdentity(route, fields)
    const { duplicate, pending } = await save(() => deps.events.record({ ...delivery, identity, event, fields }))
    deliveries.inc({ route, result: duplicate ? 'duplicate' : 'accepted' })
    if (!duplicate)
      deps.logger.info({ callSid: event.callSid, route, ended: event.ended, sources: event.sources.length }, 'Recording event received')
    if (pending) deps.onPending()
    response.json({ status: 'accepted', callSid: event.callSid, duplicate })
  } catch (error) {
    if (error instanceof UnreadableDelivery || error instanceof InvalidCallSid) {
      deliveries.inc({ route, result: 'unreadable' })
      deps.logger.warn({ route, problem: error.message, address: request.ip }, 'Webhook cannot be read')
      const identity = unreadableIdentity(route, rawBody)
      await save(() => recordUnreadable(deps.database, { ...delivery, identity }, error.message)).catch((failure: unknown) => {
        // Exotel sends a POST again. The caller of a GET must not wait for the database.
        if (method === 'POST') unavailable(deps, failure)
      })
      throw problem(error instanceof InvalidCallSid ? 'invalid_call_sid' : 'unreadable_body', error.message)
    }
    deliveries.inc({ route, result: 'unavailable' })
    if (method === 'POST') unavailable(deps, error)
    deps.logger.error({ error, route }, 'Passthru event was not recorded: reconciliation has to find its call')
    response.json({ status: 'accepted', callSid: queryOf(request).get('CallSid'), duplicate: false })
  }
}

function unavailable(deps: WebhookDependencies, error: unknown): never {
  deps.logger.error({ error }, 'Event cannot be recorded')
  throw problem('database_unavailable', 'The event could not be recorded, please send it again', RETRY_AFTER_OUTAGE)
}

/** The query without the secret `token`, which is neither hashed nor stored. */
function publicQuery(request: Request): string {
  return rawQueryOf(request)
    .split('&')
    .filter((pair) => !new URLSearchParams(pair).has('token'))
    .join('&')
}
