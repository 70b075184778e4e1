import express, { type Express } from 'express'
import helmet from 'helmet'
import { errorHandler, notFound } from './middleware/errors.ts'
import { requestId } from './middleware/request-id.ts'
import { healthRoutes, type HealthDependencies } from './routes/health.ts'
import { webhookRoutes, type WebhookDependencies } from './routes/webhooks.ts'

export interface AppDependencies extends HealthDependencies, WebhookDependencies {
  trustProxy: number | string[] | false
}

export function createApp(deps: AppDependencies): Express {
  const app = express()
  app.disable('x-powered-by').set('trust proxy', deps.trustProxy)
  app.use(helmet(), requestId)
  app.use('/webhooks/exotel', webhookRoutes(deps))
  app.use('/health', healthRoutes(deps))
  app.use(notFound, errorHandler(deps.logger))
  return app
}
