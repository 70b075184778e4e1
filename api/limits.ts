// How often something may be asked, counted in PostgreSQL by all API processes together.
import { createHash } from 'node:crypto'
import type { RequestHandler, Response } from 'express'
import type { Pool } from 'pg'
import { RateLimiterPostgres, RateLimiterRes } from 'rate-limiter-flexible'
import { clientKey } from '../platform/client-address.ts'
import type { Config } from '../platform/config.ts'
import type { Logger } from '../platform/logger.ts'
import { counter } from '../platform/metrics.ts'
import { problem, Problem } from '../platform/problem.ts'
import { RETRY_AFTER_OUTAGE } from './middleware/errors.ts'

type LimitName = 'login' | 'registration' | 'forgot' | 'general'

export interface Limits {
  /** By client address; sets the RateLimit headers. */
  perAddress(name: LimitName): RequestHandler
  /**
   * Lets somebody try a password of this account; after a few wrong ones in a row each further try has to wait longer. Tries
   * that are under way count like wrong ones, so that many at once are many; the same whether or not the account exists.
   */
  guardAccount<T>(account: string, attempt: () => Promise<T>): Promise<T>
  /** The account's password was set anew by who may: its failures are forgotten. */
  forgive(account: string): Promise<void>
  /** False once this recipient has got as many mails of a kind within an hour as anybody should. */
  mayReceive(address: string, budget: string): Promise<boolean>
}

const WINDOW_SECONDS = 60
/** Guessing must not become free when it cannot be counted; the rest of the API goes on. */
const FAIL_CLOSED = new Set<LimitName>(['login', 'registration', 'forgot'])
const FIRST_PAUSE_SECONDS = 5
const LONGEST_PAUSE_SECONDS = 15 * 60
const FAILURES_REMEMBERED_SECONDS = 24 * 3600
/** A process that dies leaves its tries counted for no longer. */
const TRIES_REMEMBERED_SECONDS = 10
const MAILS_PER_HOUR = 5

const refusals = counter('rate_limited_total', 'Requests refused by a limit', ['limit'])

type Settings = Pick<
  Config,
  'RATE_LIMIT_LOGIN' | 'RATE_LIMIT_REGISTRATION' | 'RATE_LIMIT_FORGOT' | 'RATE_LIMIT_GENERAL' | 'RATE_LIMIT_FAILURES'
>

export function createLimits(pool: Pool, settings: Settings, logger: Logger): Limits {
  const limiter = (keyPrefix: string, points: number, duration: number, more = {}): RateLimiterPostgres =>
    new RateLimiterPostgres({
      storeClient: pool,
      tableName: 'rate_limits',
      tableCreated: true,
      clearExpiredByTimeout: false,
      keyPrefix,
      points,
      duration,
      ...more,
    })
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
  const freeFailures = settings.RATE_LIMIT_FAILURES
  const failures = limiter('failures', freeFailures, FAILURES_REMEMBERED_SECONDS)
  const tries = limiter('tries', freeFailures, TRIES_REMEMBERED_SECONDS)
  const pauses = limiter('pause', 1, FIRST_PAUSE_SECONDS)
  const mails = limiter('mails', MAILS_PER_HOUR, 3600)
  const store = watchStore(logger)

  return {
    perAddress(name) {
      const rule = byAddress.get(name)!
      return async (request, response, next) => {
        const result = await consume(() => rule.consume(clientKey(request.ip, request.socket.remoteAddress)))
        store.saw(result)
        if (result instanceof Error) return next(FAIL_CLOSED.has(name) ? unavailable() : undefined)
        setHeaders(response, name, rule.points, result)
        next(result.refused ? tooMany(name, result.msBeforeNext) : undefined)
      }
    },

    async guardAccount(account, attempt) {
      const key = hashed(account)
      try {
        await admit(key)
        const result = await attempt()
        await forget(key)
        return result
      } catch (error) {
        if (isWrongGuess(error)) await failures.penalty(key).catch(() => {})
        throw error
      } finally {
        await tries.reward(key).catch(() => {})
      }
    },

    forgive: (account) => forget(hashed(account)),

    async mayReceive(address, budget) {
      const result = await consume(() => mails.consume(`${budget}:${hashed(address)}`))
      return result instanceof Error || !result.refused // what cannot be counted is not held back
    },
  }

  /** @throws {Problem} `rate_limited`, `limits_unavailable` */
  async function admit(key: string): Promise<void> {
    const [failed, running] = await Promise.all([failures.get(key), tries.penalty(key)]).catch(() => Promise.reject(unavailable()))
    const before = failed?.consumedPoints ?? 0
    if (before + running.consumedPoints <= freeFailures) return
    const customDuration = pauseSeconds(Math.max(1, before + 1 - freeFailures))
    const pause = await consume(() => pauses.consume(key, 1, { customDuration }))
    if (pause instanceof Error) throw unavailable()
    if (pause.refused) throw tooMany('account', pause.msBeforeNext)
  }

  async function forget(key: string): Promise<void> {
    await Promise.all([failures.delete(key), pauses.delete(key)]).catch(() => {})
  }
}

function isWrongGuess(error: unknown): boolean {
  return error instanceof Problem && (error.code === 'invalid_credentials' || error.code === 'wrong_password')
}

type Consumed = { refused: boolean; remainingPoints: number; msBeforeNext: number } | Error

/** The library rejects with its result where the limit is reached, and with an error where its store fails. */
async function consume(ask: () => Promise<RateLimiterRes>): Promise<Consumed> {
  const shape = ({ remainingPoints, msBeforeNext }: RateLimiterRes, refused: boolean) => ({ refused, remainingPoints, msBeforeNext })
  return ask().then(
    (result) => shape(result, false),
    (reason: unknown) => (reason instanceof RateLimiterRes ? shape(reason, true) : (reason as Error)),
  )
}

/** draft-ietf-httpapi-ratelimit-headers-10 */
function setHeaders(response: Response, name: string, quota: number, { remainingPoints, msBeforeNext }: Exclude<Consumed, Error>): void {
  response.set('RateLimit-Policy', `"${name}";q=${quota};w=${WINDOW_SECONDS}`)
  response.set('RateLimit', `"${name}";r=${Math.max(0, remainingPoints)};t=${seconds(msBeforeNext)}`)
}

function tooMany(limit: string, msBeforeNext: number): Problem {
  refusals.inc({ limit })
  return problem('rate_limited', `Try again in ${seconds(msBeforeNext)} s`, { 'Retry-After': String(seconds(msBeforeNext)) })
}

function unavailable(): Problem {
  return problem('limits_unavailable', 'Please try again', RETRY_AFTER_OUTAGE)
}

function seconds(ms: number): number {
  return Math.max(1, Math.ceil(ms / 1000))
}

function pauseSeconds(failuresBeyond: number): number {
  return Math.min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** Math.min(failuresBeyond - 1, 20))
}

/** Addresses of people stay out of the table. */
function hashed(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32)
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
