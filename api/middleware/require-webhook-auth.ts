// Guards the webhooks: method, address, body, authentication. A request that is rejected here leaves no row.
import ipaddr from 'ipaddr.js'
import type { Request, RequestHandler, Response } from 'express'
import {
  AUTH_FAILURES,
  checkHeaders,
  verifyWebhook,
  type AuthFailure,
  type WebhookAuthSettings,
  type Verdict,
} from '../../exotel/verify-webhook.ts'
import type { Logger } from '../../platform/logger.ts'
import { counter } from '../../platform/metrics.ts'
import { problem, Problem } from '../../platform/http-problems.ts'
import { clientOf } from '../limits.ts'
import { GRANTED_BYTES } from '../body-memory.ts'
import { readBody } from '../read-body.ts'
import { WrongSignatures } from '../wrong-signatures.ts'

export interface WebhookAuth extends WebhookAuthSettings {
  /** Allowed addresses and CIDR ranges. Empty: every address is allowed. */
  addresses: string[]
}

const MAX_BYTES = 1024 * 1024
/** Sent to an address that sent many wrong signatures. */
const RETRY_AFTER = { 'Retry-After': '60' }
/** Problems of a body whose sender has not been authenticated. */
const BODY_REFUSALS = ['unsupported_encoding', 'body_too_large', 'bad_request'] as const
/** The reasons of refusals, besides those of the authentication. Label values of the metric (docs/names.md). */
export const OTHER_REFUSALS = ['method', 'address', 'many_wrong_signatures', ...BODY_REFUSALS] as const
type Refusal = AuthFailure | (typeof OTHER_REFUSALS)[number]
const refusals = counter('webhook_refusals_total', 'Webhooks rejected before they were recorded', ['reason'])

/**
 * Checks in this order: method, address, headers, raw body, signature. Later handlers find the raw body in `request.body` as a Buffer.
 * A request without valid credentials is rejected before its body is read, and with 429 after `refusalLimit`. Authenticated requests
 * are never limited. A signature can be checked only after the body was read, so only small bodies are read from an address that sent
 * many wrong signatures.
 */
export function requireWebhookAuth(
  auth: WebhookAuth,
  { logger, refusalLimit }: { logger: Logger; refusalLimit: RequestHandler },
): RequestHandler {
  const wrongSignatures = new WrongSignatures()
  return async (request, response, next) => {
    const refuse = (reason: Refusal, error: Problem): void => {
      refusals.inc({ reason })
      request.resume() // so that the body does not stay in memory while the rejection is counted
      void refusalLimit(request, response, (limited?: unknown) => {
        if (limited === undefined) logger.warn({ reason, address: request.ip }, 'Webhook rejected')
        next(limited ?? error)
      })
    }
    if (request.method !== 'POST' && request.method !== 'GET')
      return refuse('method', problem('method_not_allowed', `${request.method} is not allowed for this path`, { Allow: 'GET, POST' }))
    if (auth.addresses.length > 0 && !isListed(request.ip, auth.addresses))
      return refuse('address', problem('webhook_address_refused', 'This address is not on the list of allowed addresses'))

    const credentials = credentialsOf(request)
    const early = checkHeaders(credentials, auth, new Date())
    if (early !== 'needs body' && !early.proven) return refuse(early.reason, notAuthenticated(auth, early.reason))
    const client = clientOf(request)
    let rawBody: Buffer
    try {
      rawBody = await readRaw(request, response, { smallOnly: early === 'needs body' && wrongSignatures.areManyFrom(client) })
    } catch (error) {
      // `busy` is not refused here: the sender may be Exotel, and the `Retry-After` of the problem lets it send the webhook again.
      if (!(error instanceof Problem) || early !== 'needs body') return next(error)
      const reason = BODY_REFUSALS.find((code) => code === error.code)
      return reason ? refuse(reason, error) : next(error)
    }
    const verdict = early === 'needs body' ? verifyWebhook({ ...credentials, rawBody }, auth, new Date()) : early
    if (!verdict.proven) {
      wrongSignatures.add(client) // for a complete body only: a broken connection proves nothing about the sender
      return refuse(verdict.reason, notAuthenticated(auth, verdict.reason))
    }
    wrongSignatures.clear(client)
    logAccepted(logger, request, verdict)
    request.body = rawBody
    next()
  }
}

/** @throws {Problem} as {@link readBody}; `busy` for a large body if only small ones are read */
async function readRaw(request: Request, response: Response, { smallOnly }: { smallOnly: boolean }): Promise<Buffer> {
  if (request.method !== 'POST') return Buffer.alloc(0)
  if (!smallOnly) return readBody(request, response, MAX_BYTES)
  try {
    return await readBody(request, response, GRANTED_BYTES)
  } catch (error) {
    throw error instanceof Problem && error.code === 'body_too_large' ? largeBodyRejected() : error
  }
}

/** 503 and not 429 or 413, because the signature may be valid: Exotel then sends the webhook again. */
function largeBodyRejected(): Problem {
  refusals.inc({ reason: 'many_wrong_signatures' satisfies Refusal })
  return problem('busy', 'Many webhooks from this address had a wrong signature: large bodies are not read for a minute', RETRY_AFTER)
}

function credentialsOf(request: Request): Parameters<typeof checkHeaders>[0] {
  return {
    method: request.method,
    signatures: request.headersDistinct['x-exotel-signature'] ?? [],
    authorization: request.get('authorization'),
    token: queryOf(request).get('token') ?? undefined,
    timestamp: request.get('x-exotel-timestamp'),
  }
}

function notAuthenticated(auth: WebhookAuth, reason: AuthFailure): Problem {
  return problem(
    'webhook_not_authenticated',
    AUTH_FAILURES[reason],
    auth.basic ? { 'WWW-Authenticate': 'Basic realm="webhooks"' } : undefined,
  )
}

function logAccepted(logger: Logger, request: Request, { by, staleTimestamp }: Verdict & { proven: true }): void {
  if (staleTimestamp) logger.warn({ address: request.ip }, 'Webhook timestamp differs from the current time by more than 5 minutes')
  logger.debug({ by, address: request.ip }, 'Webhook accepted')
}

/** The text after the first `?`, not decoded. */
export function rawQueryOf(request: Request): string {
  return request.originalUrl.split('?').slice(1).join('?')
}

export function queryOf(request: Request): URLSearchParams {
  return new URLSearchParams(rawQueryOf(request))
}

function isListed(address: string | undefined, ranges: string[]): boolean {
  if (!address || !ipaddr.isValid(address)) return false
  const client = ipaddr.process(address)
  return ranges.some((range) => {
    const [network, bits] = range.includes('/') ? ipaddr.parseCIDR(range) : singleAddress(ipaddr.process(range))
    return network.kind() === client.kind() && client.match(network, bits)
  })
}

function singleAddress(address: ipaddr.IPv4 | ipaddr.IPv6): [ipaddr.IPv4 | ipaddr.IPv6, number] {
  return [address, address.kind() === 'ipv4' ? 32 : 128]
}
