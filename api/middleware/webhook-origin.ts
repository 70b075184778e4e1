// Guards the webhooks: methods, addresses, body, proof of origin. Whoever passes is Exotel; everybody else leaves no row.
import ipaddr from 'ipaddr.js'
import express, { type Request, type RequestHandler } from 'express'
import { proveOrigin, type OriginSettings } from '../../exotel/proof-of-origin.ts'
import type { Logger } from '../../platform/logger.ts'
import { counter } from '../../platform/metrics.ts'
import { problem, type Problem } from '../../platform/problem.ts'
import { asProblem } from './errors.ts'

export interface WebhookGuard extends OriginSettings {
  /** Addresses and CIDR ranges; empty: any. */
  addresses: string[]
}

const MAX_BODY = '1mb'
const refusals = counter('webhook_refusals_total', 'Webhooks refused before anything was recorded', ['reason'])

/** In order: method, address, raw body, proof. Handlers behind it find the bytes in `request.body`, a Buffer. */
export function webhookOrigin(guard: WebhookGuard, logger: Logger): RequestHandler[] {
  const refuse = (request: Request, reason: string, error: Problem): Problem => {
    refusals.inc({ reason })
    logger.warn({ reason, address: request.ip }, 'Webhook refused')
    return error
  }
  const checkMethod: RequestHandler = (request, _response, next) => {
    if (request.method === 'POST' || request.method === 'GET') return next()
    next(refuse(request, 'method', problem('method_not_allowed', `${request.method} is not allowed here`, { Allow: 'GET, POST' })))
  }
  const checkAddress: RequestHandler = (request, _response, next) => {
    if (guard.addresses.length === 0 || isListed(request.ip, guard.addresses)) return next()
    next(refuse(request, 'address', problem('webhook_address_refused', 'This address is not on the list of allowed ones')))
  }
  const readBytes = express.raw({ type: () => true, inflate: false, limit: MAX_BODY })
  const readRawBody: RequestHandler = (request, response, next) =>
    readBytes(request, response, (error?: unknown) => {
      if (error === undefined) return next()
      const shown = asProblem(error)
      next(shown.status < 500 ? refuse(request, shown.code, shown) : error)
    })
  const checkProof: RequestHandler = (request, _response, next) => {
    request.body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
    const verdict = proveOrigin(
      {
        method: request.method,
        rawBody: request.body as Buffer,
        signatures: request.headersDistinct['x-exotel-signature'] ?? [],
        authorization: request.get('authorization'),
        token: queryOf(request).get('token') ?? undefined,
        timestamp: request.get('x-exotel-timestamp'),
      },
      guard,
      new Date(),
    )
    if (verdict.proven) {
      if (verdict.staleTimestamp) logger.warn({ address: request.ip }, 'Webhook timestamp is outside 5 minutes')
      logger.debug({ by: verdict.by, address: request.ip }, 'Webhook accepted')
      return next()
    }
    const challenge = guard.basic ? { 'WWW-Authenticate': 'Basic realm="webhooks"' } : undefined
    next(refuse(request, verdict.reason, problem('webhook_not_authenticated', verdict.reason, challenge)))
  }
  return [checkMethod, checkAddress, readRawBody, checkProof]
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
