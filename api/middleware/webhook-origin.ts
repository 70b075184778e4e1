// Guards the webhooks: methods, addresses, body, proof of origin. Whoever passes is Exotel; everybody else leaves no row.
import ipaddr from 'ipaddr.js'
import type { Request, RequestHandler } from 'express'
import { judgeHeaders, proveOrigin, type OriginSettings, type Verdict } from '../../exotel/proof-of-origin.ts'
import type { Logger } from '../../platform/logger.ts'
import { counter } from '../../platform/metrics.ts'
import { problem, Problem } from '../../platform/problem.ts'
import { readBody } from '../read-body.ts'

export interface WebhookGuard extends OriginSettings {
  /** Addresses and CIDR ranges; empty: any. */
  addresses: string[]
}

const MAX_BYTES = 1024 * 1024
const refusals = counter('webhook_refusals_total', 'Webhooks refused before anything was recorded', ['reason'])

/**
 * In order: method, address, what the headers prove, raw body, signature. Handlers behind it find the bytes in `request.body`, a
 * Buffer. Who proves nothing is refused before the body is read, and with 429 after `refusalLimit`; who proves it is never limited.
 */
export function webhookOrigin(
  guard: WebhookGuard,
  { logger, refusalLimit }: { logger: Logger; refusalLimit: RequestHandler },
): RequestHandler {
  return async (request, response, next) => {
    const refuse = (reason: string, error: Problem): void => {
      refusals.inc({ reason })
      void refusalLimit(request, response, (limited?: unknown) => {
        if (limited === undefined) logger.warn({ reason, address: request.ip }, 'Webhook refused')
        next(limited ?? error)
      })
    }
    if (request.method !== 'POST' && request.method !== 'GET')
      return refuse('method', problem('method_not_allowed', `${request.method} is not allowed here`, { Allow: 'GET, POST' }))
    if (guard.addresses.length > 0 && !isListed(request.ip, guard.addresses))
      return refuse('address', problem('webhook_address_refused', 'This address is not on the list of allowed ones'))

    const presented = presentedBy(request)
    const early = judgeHeaders(presented, guard, new Date())
    if (early !== 'needs body' && !early.proven) return refuse(early.reason, notProven(guard, early.reason))
    let rawBody: Buffer
    try {
      rawBody = request.method === 'POST' ? await readBody(request, response, MAX_BYTES) : Buffer.alloc(0)
    } catch (error) {
      // Whoever meets `busy` may be Exotel, and is told to come again.
      const isUnproven = error instanceof Problem && error.code !== 'busy' && early === 'needs body'
      return isUnproven ? refuse(error.code, error) : next(error)
    }
    const verdict = early === 'needs body' ? proveOrigin({ ...presented, rawBody }, guard, new Date()) : early
    if (!verdict.proven) return refuse(verdict.reason, notProven(guard, verdict.reason))
    logProof(logger, request, verdict)
    request.body = rawBody
    next()
  }
}

function presentedBy(request: Request): Parameters<typeof judgeHeaders>[0] {
  return {
    method: request.method,
    signatures: request.headersDistinct['x-exotel-signature'] ?? [],
    authorization: request.get('authorization'),
    token: queryOf(request).get('token') ?? undefined,
    timestamp: request.get('x-exotel-timestamp'),
  }
}

function notProven(guard: WebhookGuard, reason: string): Problem {
  return problem('webhook_not_authenticated', reason, guard.basic ? { 'WWW-Authenticate': 'Basic realm="webhooks"' } : undefined)
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
