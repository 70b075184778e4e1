// Slows down password guessing without locking out the owner of the account. Failures are counted per account and source, and per
// account over all sources. The second count does not apply to a source that has logged in to the account before.
import { accountKey, FAILURES, PAUSES, secretKey, sourceKey, type Login } from './login-counters.ts'
import { RETRY_AFTER_SECONDS } from '../platform/database-errors.ts'
import { refusals, wholeSeconds, type CreateCounter } from '../platform/rate-counters.ts'
import { AccountError } from './errors.ts'

export interface LoginThrottle {
  /**
   * Runs a login attempt of a source. After a few failures in a row, each further attempt has to wait longer. Attempts in progress
   * count like failures, so that parallel attempts are limited too. Behaves the same whether or not the account exists.
   */
  guardLogin<T>(login: Login, attempt: () => Promise<T>): Promise<T>
  /** The same for a password check that requires a token or a session. `key` is that token or the id of that session. */
  guardPasswordCheck<T>(key: string, attempt: () => Promise<T>): Promise<T>
  /** Call after the owner of the account has authenticated from this source. Guesses from other sources then do not delay it. */
  rememberSource(login: Login): Promise<void>
}

/** A count that an attempt has to pass. */
interface Guard {
  key: string
  freeFailures: number
}

const FIRST_PAUSE_SECONDS = 5
const LONGEST_PAUSE_SECONDS = 15 * 60
const FAILURES_REMEMBERED_SECONDS = 24 * 3600
/** If a process exits during an attempt, the attempt stays counted for at most this time. */
const ATTEMPT_IN_PROGRESS_SECONDS = 10
/**
 * An account has this many times the free failures of one source. Its count adds up the failures of all unknown sources, at most
 * `freeFailures` from each. After more failures, all unknown sources of the account have to wait.
 */
const SOURCES_PER_ACCOUNT = 4
const KNOWN_SOURCE_SECONDS = 30 * 24 * 3600

export function createLoginThrottle(counter: CreateCounter, freeFailures: number): LoginThrottle {
  const failures = counter({ name: FAILURES, windowSeconds: FAILURES_REMEMBERED_SECONDS })
  const inProgress = counter({ name: 'tries', windowSeconds: ATTEMPT_IN_PROGRESS_SECONDS })
  const pauses = counter({ name: PAUSES, windowSeconds: FIRST_PAUSE_SECONDS, longestWindowSeconds: LONGEST_PAUSE_SECONDS })
  const knownSources = counter({ name: 'known', windowSeconds: KNOWN_SOURCE_SECONDS })

  return {
    async guardLogin({ account, source }, attempt) {
      const ofSource = { key: sourceKey({ account, source }), freeFailures }
      const ofAccount = { key: accountKey(account), freeFailures: freeFailures * SOURCES_PER_ACCOUNT }
      const known = await knownSources.read(ofSource.key).catch(() => Promise.reject(countersUnavailable()))
      const result = await guard(known > 0 ? [ofSource] : [ofSource, ofAccount], attempt)
      await resetCounters([ofSource, ofAccount])
      await addKnownSource(ofSource.key)
      return result
    },

    async guardPasswordCheck(key, attempt) {
      const only = { key: secretKey(key), freeFailures }
      const result = await guard([only], attempt)
      await resetCounters([only])
      return result
    },

    rememberSource: (login) => addKnownSource(sourceKey(login)),
  }

  async function guard<T>(guards: Guard[], attempt: () => Promise<T>): Promise<T> {
    const entered: Guard[] = []
    try {
      for (const each of guards) {
        entered.push(each)
        await admit(each)
      }
      return await attempt()
    } catch (error) {
      if (isWrongGuess(error)) await countFailure(guards).catch(() => {})
      throw error
    } finally {
      await Promise.all(entered.map(({ key }) => inProgress.takeBack(key))).catch(() => {})
    }
  }

  /** @throws {AccountError} `too_many_attempts`, `attempts_not_counted` */
  async function admit({ key, freeFailures: free }: Guard): Promise<void> {
    const { running, failed } = await countsOf(key).catch(() => Promise.reject(countersUnavailable()))
    if (failed + running <= free) return
    const pauseSeconds = pauseAfter(Math.max(1, failed + 1 - free))
    const pause = await pauses.add(key, pauseSeconds).catch(() => Promise.reject(countersUnavailable()))
    if (pause.points > 1) throw tooManyAttempts(pause.msBeforeNext)
  }

  /** Reads in this order: an attempt that ends between the two reads is counted twice. In the other order it would be missed. */
  async function countsOf(key: string) {
    const running = (await inProgress.add(key)).points
    const failed = await failures.read(key)
    return { running, failed }
  }

  /** A source adds at most its free failures to the account's count, so that one source alone cannot make the others wait. */
  async function countFailure([ofSource, ofAccount]: Guard[]): Promise<void> {
    const { points } = await failures.add(ofSource!.key)
    if (ofAccount && points <= freeFailures) await failures.add(ofAccount.key)
  }

  async function resetCounters(guards: Pick<Guard, 'key'>[]): Promise<void> {
    await Promise.all(guards.flatMap(({ key }) => [failures.delete(key), pauses.delete(key)])).catch(() => {})
  }

  async function addKnownSource(key: string): Promise<void> {
    await knownSources.begin(key).catch(() => {})
  }
}

function isWrongGuess(error: unknown): boolean {
  return error instanceof AccountError && (error.code === 'invalid_credentials' || error.code === 'wrong_password')
}

function pauseAfter(failuresBeyond: number): number {
  return Math.min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** Math.min(failuresBeyond - 1, 20))
}

function tooManyAttempts(msBeforeNext: number): AccountError {
  refusals.inc({ limit: 'account' })
  const retryAfterSeconds = wholeSeconds(msBeforeNext)
  return new AccountError('too_many_attempts', `Try again in ${retryAfterSeconds} s`, { retryAfterSeconds })
}

function countersUnavailable(): AccountError {
  return new AccountError('attempts_not_counted', 'Please try again', { retryAfterSeconds: RETRY_AFTER_SECONDS })
}
