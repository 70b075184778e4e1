import type { RequestHandler } from 'express'
import helmet from 'helmet'

const SELF = ["'self'"]

/**
 * Everything our pages need comes from us, and nothing inline runs. Swagger's page alone sets styles on its elements.
 * Strict-Transport-Security is heeded by browsers only where they came by TLS.
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
