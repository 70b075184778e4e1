import type { RequestHandler } from 'express'
import helmet from 'helmet'

const SELF = ["'self'"]

/**
 * Our pages load everything from our own origin, and inline scripts do not run. Inline styles are allowed because Swagger UI sets them.
 * Browsers ignore Strict-Transport-Security on connections without TLS.
 */
export const securityHeaders: RequestHandler = helmet({
  contentSecurityPolicy: {
    useDefaults: false,
    directives: {
      defaultSrc: ["'none'"],
      scriptSrc: SELF,
      styleSrc: ["'self'", "'unsafe-inline'"],
      imgSrc: ["'self'", 'data:'],
      connectSrc: SELF,
      formAction: SELF,
      baseUri: ["'none'"],
      frameAncestors: ["'none'"],
    },
  },
  referrerPolicy: { policy: 'no-referrer' },
  crossOriginEmbedderPolicy: true,
  strictTransportSecurity: { maxAge: 365 * 24 * 3600, includeSubDomains: true },
})
