import express from 'express'
import type { Limits } from '../../api/limits.ts'
import { errorHandler } from '../../api/middleware/errors.ts'
import { webhookRoutes, type WebhookDependencies } from '../../api/routes/webhooks.ts'
import { createEventRecorder } from '../../calls/event-recorder.ts'
import { serve, type Served } from './serve.ts'

const unlimited = (_request: unknown, _response: unknown, next: () => void) => next()

/** Serves only the webhooks, without limits and without retries. Their token is `tok`. */
export async function serveWebhooks({
  database,
  logger,
  onPending,
}: Pick<WebhookDependencies, 'database' | 'logger' | 'onPending'>): Promise<Served> {
  const routes = webhookRoutes({
    database,
    events: createEventRecorder({ batches: database, single: database }, logger),
    lifecycle: { state: 'serving' },
    logger,
    auth: { addresses: [], signatureSecrets: [], token: 'tok', timestamp: 'log' },
    limits: { perAddress: () => unlimited } as unknown as Limits,
    databaseRetry: { attempts: 1, firstMs: 1, maxMs: 1 },
    onPending,
  })
  return serve(express().use(routes, errorHandler(logger)))
}
