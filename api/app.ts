import express, { type Express } from 'express'
import { errorHandler, notFound } from './middleware/errors.ts'
import { dropBody, dropBodyOfReads } from './middleware/unwanted-body.ts'
import { requestId } from './middleware/request-id.ts'
import { securityHeaders } from './middleware/security-headers.ts'
import { operationRoutes, type Operation } from './operation.ts'
import { accountOperations, type AccountRoutesDependencies } from './routes/accounts.ts'
import { callActionOperations } from './routes/call-actions.ts'
import { bulkRetryOperations } from './routes/bulk-retries.ts'
import { changeOperations, type ChangeRoutesDependencies } from './routes/changes.ts'
import { callOperations, type CallRoutesDependencies } from './routes/calls.ts'
import { documentationPage, openApiOperation } from './routes/documentation.ts'
import { exportOperations } from './routes/export-calls.ts'
import { healthOperations, type HealthDependencies } from './routes/health.ts'
import { operationsOperations, type OperationsDependencies } from './routes/operations.ts'
import { playOperations, type PlayRoutesDependencies } from './routes/plays.ts'
import { resetPage } from './routes/reset-page.ts'
import { roleOperations } from './routes/roles.ts'
import { testOperations, type TestRoutesDependencies } from './routes/test-connections.ts'
import { verifyPage } from './routes/verify-page.ts'
import { webhookRoutes, type WebhookDependencies } from './routes/webhooks.ts'

export interface AppDependencies
  extends
    HealthDependencies,
    WebhookDependencies,
    AccountRoutesDependencies,
    TestRoutesDependencies,
    CallRoutesDependencies,
    PlayRoutesDependencies,
    ChangeRoutesDependencies,
    OperationsDependencies {
  trustProxy: number | string[] | false
  /** Whether the page /docs is served. */
  serveDocs: boolean
}

export function createApp(deps: AppDependencies): Express {
  const app = express()
  app.disable('x-powered-by').set('trust proxy', deps.trustProxy).set('etag', false)
  app.use(securityHeaders, requestId, dropBodyOfReads)
  app.use('/webhooks/exotel', webhookRoutes(deps))
  const general = deps.limits.perAddress('general')
  const operations: Operation[] = [
    ...healthOperations(deps),
    ...accountOperations(deps),
    ...callOperations(deps),
    ...playOperations(deps),
    ...callActionOperations(deps),
    ...operationsOperations(deps),
    ...bulkRetryOperations(deps),
    ...changeOperations(deps),
    ...exportOperations(deps),
    ...roleOperations(deps),
    ...testOperations(deps),
  ]
  operations.push(openApiOperation(operations, [general]))
  app.use(operationRoutes(operations, general))
  if (deps.serveDocs) app.use(documentationPage(general))
  app.use(resetPage(general), verifyPage(general))
  app.use(dropBody, general, notFound, errorHandler(deps.logger))
  return app
}
