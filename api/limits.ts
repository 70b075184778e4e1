// How often something may be asked, counted in PostgreSQL by all API processes together.
import type { Request, RequestHandler, Response } from 'express'
import type { Pool } from 'pg'
import type { RateLimiterPostgres } from 'rate-limiter-flexible'
import { clientKey } from '../platform/client-address.ts'
import type { Config } from '../platform/config.ts'
import type { Logger } from '../platform/logger.ts'
import { createGuessLimits, type GuessLimits } from './guess-limits.ts'
import { consume, limitersOf, seconds, tooMany, unavailable, type Consumed } from './rate-limiter.ts'

type LimitName = 'login' | 'registration' | 'forgot' | 'general'

export interface Limits extends GuessLimits {
  /** By client address; sets the RateLimit headers. */
  perAddress(name: LimitName): RequestHandler
}

const WINDOW_SECONDS = 60
/** Guessing must not become free when it cannot be counted; the rest of the API goes on. */
const FAIL_CLOSED = new Set<LimitName>(['login', 'registration', 'forgot'])

type Settings = Pick<
  Config,
  'RATE_LIMIT_LOGIN' | 'RATE_LIMIT_REGISTRATION' | 'RATE_LIMIT_FORGOT' | 'RATE_LIMIT_GENERAL' | 'RATE_LIMIT_FAILURES'
>

export function createLimits(pool: Pool, settings: Settings, logger: Logger): Limits {
  const limiter = limitersOf(pool)
  // Who was refused once is refused without asking the database again until the minute is over.
  const perMinute = (name: LimitName, points: number): [LimitName, RateLimiterPostgres] => [
    name,
    limiter(name, points, WINDOW_SECONDS, { inMemoryBlockOnConsumed: points + 1 }),
  ]
  const byAddress = new Map([
    perMinute('login', settings.RATE_LIMIT_LOGIN),
    perMinute('registration', settings.RATE_LIMIT_REGISTRATION),
    perMinute('forgot', settings.RATE_LIMIT_FORGOT),
    perMinute('general', settings.RATE_LIMIT_GENERAL),
  ])
  const store = watchStore(logger)

  return {
    ...createGuessLimits(limiter, settings.RATE_LIMIT_FAILURES),

    perAddress(name) {
      const rule = byAddress.get(name)!
      return async (request, response, next) => {
        const result = await consume(() => rule.consume(clientOf(request)))
        store.saw(result)
        if (result instanceof Error) return next(FAIL_CLOSED.has(name) ? unavailable() : undefined)
        setHeaders(response, name, rule.points, result)
        next(result.refused ? tooMany(name, result.msBeforeNext) : undefined)
      }
    },
  }
}

/** Whom limits count: {@link clientKey} of who sent this request. */
export function clientOf(request: Request): string {
  return clientKey(request.ip, request.socket.remoteAddress)
}

/** draft-ietf-httpapi-ratelimit-headers-10 */
function setHeaders(response: Response, name: string, quota: number, { remainingPoints, msBeforeNext }: Exclude<Consumed, Error>): void {
  response.set('RateLimit-Policy', `"${name}";q=${quota};w=${WINDOW_SECONDS}`)
  response.set('RateLimit', `"${name}";r=${Math.max(0, remainingPoints)};t=${seconds(msBeforeNext)}`)
}

/** One line when the store goes, one when it is back. */
function watchStore(logger: Logger): { saw(result: Consumed): void } {
  let away = false
  return {
    saw(result) {
      if (result instanceof Error === away) return
      away = result instanceof Error
      if (away) logger.error({ error: result }, 'Limits cannot be counted: login, registration and forgotten passwords are closed')
      else logger.info('Limits are counted again')
    },
  }
}
