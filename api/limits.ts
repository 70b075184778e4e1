// Rate limits, counted in PostgreSQL by all API processes together.
import type { Request, RequestHandler, Response } from 'express'
import type { Pool } from 'pg'
import { createLoginThrottle, type LoginThrottle } from '../accounts/login-throttle.ts'
import { clientKey } from '../platform/client-address.ts'
import type { Config } from '../platform/config.ts'
import type { Logger } from '../platform/logger.ts'
import { problem, type Problem } from '../platform/http-problems.ts'
import { countersOf, refusals, wholeSeconds, type Count } from '../platform/rate-counters.ts'
import { RETRY_AFTER_OUTAGE } from './middleware/errors.ts'
import { createRefusedClients } from './refused-clients.ts'

type AddressLimit = 'login' | 'registration' | 'forgot' | 'general'
type LimitName = AddressLimit | 'refresh' | 'action' | 'play'

export interface Limits extends LoginThrottle {
  /** Counts requests by client address and sets the RateLimit headers. */
  perAddress(name: AddressLimit): RequestHandler
  /**
   * Counts a refresh of a session.
   * @throws {Problem} `rate_limited`
   */
  countRefresh(sessionId: string): Promise<void>
  /**
   * Counts an action of an operator.
   * @throws {Problem} `rate_limited`
   */
  countAction(userId: string): Promise<void>
  /**
   * Counts a link to a recording.
   * @throws {Problem} `rate_limited`
   */
  countPlay(userId: string): Promise<void>
}

const WINDOW_SECONDS = 60
/** Retry-After if too many requests already wait to be counted. */
const FULL_MS = 1000
/** Maximum number of requests that wait to be counted, over all clients and limits. Each holds up to 64 kB of its body. */
const MAX_COUNTING = 500
/** Maximum per session and window. Each leaves a row in the database until the session ends. A client needs one every 15 min. */
const REFRESHES = 30
/** Maximum per user and window. A person who clicks does not reach them. */
const ACTIONS = 30
const PLAYS = 120
/** Maximum per limit. Requests of clients beyond it are counted in the database again. */
const MAX_REFUSED_CLIENTS = 10_000
/** Limits that reject requests if they cannot be counted, so that guessing is never unlimited. The other limits let requests pass. */
const FAIL_CLOSED = new Set<LimitName>(['login', 'registration', 'forgot'])

type Settings = Pick<
  Config,
  'RATE_LIMIT_LOGIN' | 'RATE_LIMIT_REGISTRATION' | 'RATE_LIMIT_FORGOT' | 'RATE_LIMIT_GENERAL' | 'RATE_LIMIT_FAILURES'
>

export function createLimits(pool: Pool, settings: Settings, logger: Logger): Limits {
  const counter = countersOf(pool)
  const perMinute = (name: LimitName, points: number) => ({
    points,
    counter: counter({ name, windowSeconds: WINDOW_SECONDS }),
    refused: createRefusedClients(MAX_REFUSED_CLIENTS),
    inFlight: new Map<string, number>(),
  })
  const rules = {
    login: perMinute('login', settings.RATE_LIMIT_LOGIN),
    registration: perMinute('registration', settings.RATE_LIMIT_REGISTRATION),
    forgot: perMinute('forgot', settings.RATE_LIMIT_FORGOT),
    general: perMinute('general', settings.RATE_LIMIT_GENERAL),
    refresh: perMinute('refresh', REFRESHES),
    action: perMinute('action', ACTIONS),
    play: perMinute('play', PLAYS),
  }
  const store = watchStore(logger)
  let counting = 0

  /**
   * Rejects a client that exceeded the limit until the minute is over, without a query. Also rejects without a query if as many of the
   * client's requests already wait to be counted as the limit allows, or if {@link MAX_COUNTING} requests wait in all: the bodies of
   * requests that wait stay in memory.
   */
  async function count(name: LimitName, client: string): Promise<Count> {
    const { points, counter, refused, inFlight } = rules[name]
    const msLeft = refused.msLeft(client)
    if (msLeft > 0) return { points: points + 1, msBeforeNext: msLeft }
    const others = inFlight.get(client) ?? 0
    if (others >= points || counting >= MAX_COUNTING) return { points: points + 1, msBeforeNext: FULL_MS }
    inFlight.set(client, others + 1)
    counting += 1
    const result = await counter.add(client).finally(() => {
      counting -= 1
      leave(inFlight, client)
    })
    if (result.points > points) refused.add(client, result.msBeforeNext)
    return result
  }

  return {
    ...createLoginThrottle(counter, settings.RATE_LIMIT_FAILURES),

    perAddress(name) {
      const quota = rules[name].points
      return async (request, response, next) => {
        const result = await store.watch(count(name, clientOf(request)))
        if (result === undefined) return next(FAIL_CLOSED.has(name) ? unavailable() : undefined)
        setHeaders(response, name, quota, result)
        next(result.points > quota ? tooMany(name, result.msBeforeNext) : undefined)
      }
    },

    countRefresh: (sessionId) => countOrThrow('refresh', sessionId),
    countAction: (userId) => countOrThrow('action', userId),
    countPlay: (userId) => countOrThrow('play', userId),
  }

  /** @throws {Problem} `rate_limited` */
  async function countOrThrow(name: LimitName, client: string): Promise<void> {
    const result = await store.watch(count(name, client))
    if (result !== undefined && result.points > rules[name].points) throw tooMany(name, result.msBeforeNext)
  }
}

function leave(inFlight: Map<string, number>, client: string): void {
  const others = inFlight.get(client)! - 1
  if (others > 0) inFlight.set(client, others)
  else inFlight.delete(client)
}

/** The {@link clientKey} of the sender of a request, by which limits count it. */
export function clientOf(request: Request): string {
  return clientKey(request.ip, request.socket.remoteAddress)
}

/** draft-ietf-httpapi-ratelimit-headers-10 */
function setHeaders(response: Response, name: string, quota: number, { points, msBeforeNext }: Count): void {
  response.set('RateLimit-Policy', `"${name}";q=${quota};w=${WINDOW_SECONDS}`)
  response.set('RateLimit', `"${name}";r=${Math.max(0, quota - points)};t=${wholeSeconds(msBeforeNext)}`)
}

function tooMany(limit: string, msBeforeNext: number): Problem {
  refusals.inc({ limit })
  return problem('rate_limited', `Try again in ${wholeSeconds(msBeforeNext)} s`, { 'Retry-After': String(wholeSeconds(msBeforeNext)) })
}

function unavailable(): Problem {
  return problem('limits_unavailable', 'Please try again', RETRY_AFTER_OUTAGE)
}

/** Logs once when requests can no longer be counted, and once when they can be counted again. */
function watchStore(logger: Logger) {
  let isAvailable = true
  return {
    /** @returns undefined if the requests cannot be counted */
    async watch(counting: Promise<Count>): Promise<Count | undefined> {
      try {
        const result = await counting
        if (!isAvailable) logger.info('Rate limits are counted again')
        isAvailable = true
        return result
      } catch (error) {
        if (isAvailable)
          logger.error(
            { error },
            'Rate limits cannot be counted in PostgreSQL: login, registration and password reset requests are rejected',
          )
        isAvailable = false
        return undefined
      }
    },
  }
}
