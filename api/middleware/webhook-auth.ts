// Guards the webhooks: methods, addresses, body, proof of origin. Whoever passes is Exotel; everybody else leaves no row.
import ipaddr from 'ipaddr.js'
import type { Request, RequestHandler, Response } from 'express'
import { checkHeaders, verifyWebhook, type WebhookAuthSettings, type Verdict } from '../../exotel/webhook-auth.ts'
import type { Logger } from '../../platform/logger.ts'
import { counter } from '../../platform/metrics.ts'
import { problem, Problem } from '../../platform/problem.ts'
import { clientOf } from '../limits.ts'
import { GRANTED_BYTES } from '../body-memory.ts'
import { readBody } from '../read-body.ts'
import { WrongSignatures } from '../wrong-signatures.ts'

export interface WebhookAuth extends WebhookAuthSettings {
  /** Addresses and CIDR ranges; empty: any. */
  addresses: string[]
}

const MAX_BYTES = 1024 * 1024
/** For an address that sent many wrong signatures. */
const RETRY_AFTER = { 'Retry-After': '60' }
const refusals = counter('webhook_refusals_total', 'Webhooks refused before anything was recorded', ['reason'])

/**
 * In order: method, address, what the headers prove, raw body, signature. Handlers behind it find the bytes in `request.body`, a
 * Buffer. Who proves nothing is refused before the body is read, and with 429 after `refusalLimit`; who proves it is never limited.
 * A signature can be checked only when the body was read: of an address that sent many wrong ones, only small bodies are read.
 */
export function requireWebhookAuth(
  auth: WebhookAuth,
  { logger, refusalLimit }: { logger: Logger; refusalLimit: RequestHandler },
): RequestHandler {
  const wrongSignatures = new WrongSignatures()
  return async (request, response, next) => {
    const refuse = (reason: string, error: Problem): void => {
      refusals.inc({ reason })
      request.resume() // the body does not wait in memory while the refusal is counted
      void refusalLimit(request, response, (limited?: unknown) => {
        if (limited === undefined) logger.warn({ reason, address: request.ip }, 'Webhook refused')
        next(limited ?? error)
      })
    }
    if (request.method !== 'POST' && request.method !== 'GET')
      return refuse('method', problem('method_not_allowed', `${request.method} is not allowed here`, { Allow: 'GET, POST' }))
    if (auth.addresses.length > 0 && !isListed(request.ip, auth.addresses))
      return refuse('address', problem('webhook_address_refused', 'This address is not on the list of allowed ones'))

    const credentials = presentedBy(request)
    const early = checkHeaders(credentials, auth, new Date())
    if (early !== 'needs body' && !early.proven) return refuse(early.reason, notAuthenticated(auth, early.reason))
    const client = clientOf(request)
    let rawBody: Buffer
    try {
      rawBody = await readRaw(request, response, { smallOnly: early === 'needs body' && wrongSignatures.areManyFrom(client) })
    } catch (error) {
      // Whoever meets `busy` may be Exotel, and is told to come again.
      const isUnproven = error instanceof Problem && error.code !== 'busy' && early === 'needs body'
      return isUnproven ? refuse(error.code, error) : next(error)
    }
    const verdict = early === 'needs body' ? verifyWebhook({ ...credentials, rawBody }, auth, new Date()) : early
    if (!verdict.proven) {
      wrongSignatures.add(client) // of a whole body only: a connection that broke says nothing about the sender
      return refuse(verdict.reason, notAuthenticated(auth, verdict.reason))
    }
    wrongSignatures.clear(client)
    logProof(logger, request, verdict)
    request.body = rawBody
    next()
  }
}

/** @throws {Problem} as {@link readBody}; `busy` for a large body where only a small one is read */
async function readRaw(request: Request, response: Response, { smallOnly }: { smallOnly: boolean }): Promise<Buffer> {
  if (request.method !== 'POST') return Buffer.alloc(0)
  if (!smallOnly) return readBody(request, response, MAX_BYTES)
  try {
    return await readBody(request, response, GRANTED_BYTES)
  } catch (error) {
    throw error instanceof Problem && error.code === 'body_too_large' ? refusedUnread() : error
  }
}

/** 503 and not 429 or 413, because the webhook may be right: Exotel sends it again. */
function refusedUnread(): Problem {
  refusals.inc({ reason: 'many_wrong_signatures' })
  return problem('busy', 'Many webhooks of this address had a wrong signature: large ones are not read for a while', RETRY_AFTER)
}

function presentedBy(request: Request): Parameters<typeof checkHeaders>[0] {
  return {
    method: request.method,
    signatures: request.headersDistinct['x-exotel-signature'] ?? [],
    authorization: request.get('authorization'),
    token: queryOf(request).get('token') ?? undefined,
    timestamp: request.get('x-exotel-timestamp'),
  }
}

function notAuthenticated(auth: WebhookAuth, reason: string): Problem {
  return problem('webhook_not_authenticated', reason, auth.basic ? { 'WWW-Authenticate': 'Basic realm="webhooks"' } : undefined)
}

function logProof(logger: Logger, request: Request, { by, staleTimestamp }: Verdict & { proven: true }): void {
  if (staleTimestamp) logger.warn({ address: request.ip }, 'Webhook timestamp is outside 5 minutes')
  logger.debug({ by, address: request.ip }, 'Webhook accepted')
}

/** What stands behind the first `?`, as it came. */
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
    const [network, bits] = range.includes('/') ? ipaddr.parseCIDR(range) : single(ipaddr.process(range))
    return network.kind() === client.kind() && client.match(network, bits)
  })
}

function single(address: ipaddr.IPv4 | ipaddr.IPv6): [ipaddr.IPv4 | ipaddr.IPv6, number] {
  return [address, address.kind() === 'ipv4' ? 32 : 128]
}
