// Slows down whoever guesses passwords, without locking out the owner of the account: failures are counted for each source of each
// account, and for the account over all sources. The second count does not apply to a source that has logged in to the account.
import { accountKey, FAILURES, PAUSES, secretKey, sourceKey, type Login } from './login-counters.ts'
import { RETRY_AFTER_SECONDS } from '../platform/database-errors.ts'
import { refusals, type CreateCounter } from '../platform/rate-counters.ts'
import { AccountError } from './errors.ts'

export interface LoginThrottle {
  /**
   * Lets a source try a password of an account. After a few wrong ones in a row each further try has to wait longer. Tries that
   * are in progress count like wrong ones, so that many at once are many; the same whether or not the account exists.
   */
  guardLogin<T>(login: Login, attempt: () => Promise<T>): Promise<T>
  /** The same for passwords that only the holder of some secret can try; `key` names the secret. */
  guardGuesses<T>(key: string, attempt: () => Promise<T>): Promise<T>
  /** The owner of the account has proved who he is, from this source: guesses at other sources do not make it wait. */
  rememberSource(login: Login): Promise<void>
}

/** One of the counts that a try has to pass. */
interface Guard {
  key: string
  freeFailures: number
}

const FIRST_PAUSE_SECONDS = 5
const LONGEST_PAUSE_SECONDS = 15 * 60
const FAILURES_REMEMBERED_SECONDS = 24 * 3600
/** A process that dies leaves its tries counted for no longer. */
const TRIES_REMEMBERED_SECONDS = 10
/** So many sources must use up all their free failures before other sources of the account have to wait, too. */
const SOURCES_PER_ACCOUNT = 4
const KNOWN_SOURCE_SECONDS = 30 * 24 * 3600

export function createLoginThrottle(counter: CreateCounter, freeFailures: number): LoginThrottle {
  const failures = counter({ name: FAILURES, windowSeconds: FAILURES_REMEMBERED_SECONDS })
  const tries = counter({ name: 'tries', windowSeconds: TRIES_REMEMBERED_SECONDS })
  const pauses = counter({ name: PAUSES, windowSeconds: FIRST_PAUSE_SECONDS, longestWindowSeconds: LONGEST_PAUSE_SECONDS })
  const knownSources = counter({ name: 'known', windowSeconds: KNOWN_SOURCE_SECONDS })

  return {
    async guardLogin({ account, source }, attempt) {
      const ofSource = { key: sourceKey({ account, source }), freeFailures }
      const ofAccount = { key: accountKey(account), freeFailures: freeFailures * SOURCES_PER_ACCOUNT }
      const known = await knownSources.read(ofSource.key).catch(() => Promise.reject(notCounted()))
      const result = await guard(known > 0 ? [ofSource] : [ofSource, ofAccount], attempt)
      await forgiveGuards([ofSource, ofAccount])
      await remember(ofSource.key)
      return result
    },

    async guardGuesses(key, attempt) {
      const only = { key: secretKey(key), freeFailures }
      const result = await guard([only], attempt)
      await forgiveGuards([only])
      return result
    },

    rememberSource: (login) => remember(sourceKey(login)),
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
      await Promise.all(entered.map(({ key }) => tries.takeBack(key))).catch(() => {})
    }
  }

  /** @throws {AccountError} `too_many_attempts`, `attempts_not_counted` */
  async function admit({ key, freeFailures: free }: Guard): Promise<void> {
    const { running, failed } = await countsOf(key).catch(() => Promise.reject(notCounted()))
    if (failed + running <= free) return
    const pauseSeconds = pauseAfter(Math.max(1, failed + 1 - free))
    const pause = await pauses.add(key, pauseSeconds).catch(() => Promise.reject(notCounted()))
    if (pause.points > 1) throw tooManyAttempts(pause.msBeforeNext)
  }

  /** In this order: a try that ends in between is counted twice, and never not at all. */
  async function countsOf(key: string) {
    const running = (await tries.add(key)).points
    const failed = await failures.read(key)
    return { running, failed }
  }

  /** A source adds its free failures to the account's count and no more: one alone cannot make the others wait. */
  async function countFailure([ofSource, ofAccount]: Guard[]): Promise<void> {
    const { points } = await failures.add(ofSource!.key)
    if (ofAccount && points <= freeFailures) await failures.add(ofAccount.key)
  }

  async function forgiveGuards(guards: Pick<Guard, 'key'>[]): Promise<void> {
    await Promise.all(guards.flatMap(({ key }) => [failures.delete(key), pauses.delete(key)])).catch(() => {})
  }

  async function remember(key: string): Promise<void> {
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
  const retryAfterSeconds = Math.max(1, Math.ceil(msBeforeNext / 1000))
  return new AccountError('too_many_attempts', `Try again in ${retryAfterSeconds} s`, { retryAfterSeconds })
}

function notCounted(): AccountError {
  return new AccountError('attempts_not_counted', 'Please try again', { retryAfterSeconds: RETRY_AFTER_SECONDS })
}
