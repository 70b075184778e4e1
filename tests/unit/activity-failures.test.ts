// What Temporal receives when an activity fails: the code, the text and the pause.
import { afterAll, beforeEach, describe, expect, test } from '@jest/globals'
import type { ApplicationFailure } from '@temporalio/common'
import { MockActivityEnvironment } from '@temporalio/testing'
import { DefaultLogger } from '@temporalio/worker'
import { pino, stdSerializers } from 'pino'
import { failAttempt, RetryLater } from '../../activities/failures.ts'
import { activityInterceptor } from '../../activities/interceptor.ts'
import type { AlarmName } from '../../contracts/alarm-names.ts'
import { createAlarms, type Alarms } from '../../platform/alarm-registry.ts'
import { connectDatabase } from '../../platform/database.ts'
import { logContext } from '../../platform/log-context.ts'
import type { CallRef } from '../../contracts/recording.ts'
import { FileBusy } from '../../recordings/file-turns.ts'
import { newCallSid } from '../support/servers.ts'

const silent = pino({ level: 'silent' })
/** No server listens on this port. */
const database = connectDatabase({ url: 'postgresql://caly@127.0.0.1:1/caly', poolSize: 1, logger: silent })
afterAll(() => database.$disconnect())

let alarms: Alarms<AlarmName>
let lines: string[]
beforeEach(() => {
  alarms = createAlarms(silent)
  lines = []
})

function environment(attempt: number): MockActivityEnvironment {
  const serializers = { error: stdSerializers.err }
  const logger = pino({ level: 'info', mixin: logContext, serializers }, { write: (line) => void lines.push(line) })
  const deps = { database, alarms, logger, pauses: { firstMs: 2000, maxMs: 300_000 } }
  return new MockActivityEnvironment({ attempt }, { logger: new DefaultLogger('ERROR'), interceptors: [activityInterceptor(deps)] })
}
async function failureOf(work: () => Promise<unknown>, attempt = 1): Promise<ApplicationFailure> {
  return environment(attempt)
    .run(work)
    .then(
      () => {
        throw new Error('The activity succeeded')
      },
      (error: unknown) => error as ApplicationFailure,
    )
}
const throwing = (error: Error) => async (): Promise<never> => {
  throw error
}
const waits = { nonRetryable: false, category: 'BENIGN' }

test.each([
  ['ENOSPC', 'SpoolFull'],
  ['EDQUOT', 'SpoolFull'],
  ['EIO', 'SpoolUnavailable'],
  ['EROFS', 'SpoolUnavailable'],
  ['EACCES', 'SpoolUnavailable'],
  ['ENOENT', 'SpoolUnavailable'],
])('When the disk fails with %s, then the activity waits as %s with an alarm', async (code, type) => {
  const error = Object.assign(new Error(`${code}: the disk failed, write`), { code })
  expect(await failureOf(throwing(error))).toMatchObject({ type, ...waits })
  expect(alarms.active()).toMatchObject([{ name: 'SpoolUnavailable', reason: expect.stringContaining(code) }])
})

test('When an earlier attempt does not end because the disk does not respond, then the activity waits with an alarm', async () => {
  expect(await failureOf(throwing(new FileBusy('The disk may not respond')))).toMatchObject({ type: 'SpoolUnavailable', ...waits })
  expect(alarms.active()).toMatchObject([{ name: 'SpoolUnavailable', reason: 'The disk may not respond' }])
})

test('When PostgreSQL is unavailable, then the activity waits', async () => {
  expect(await failureOf(() => database.$queryRaw`SELECT 1`)).toMatchObject({ type: 'DatabaseUnavailable', ...waits })
})

test('When an activity throws an unexpected error, then it fails as InternalError, and the log contains the error', async () => {
  const failure = await failureOf(throwing(new TypeError('x is not a function')))
  expect(failure).toMatchObject({ type: 'InternalError', nonRetryable: true, message: 'TypeError: x is not a function' })
  expect(lines.join('')).toContain('x is not a function')
})

test.each<[string, Error | undefined, object]>([
  ['succeeds', undefined, { msg: 'Recording step done' }],
  [
    'fails',
    failAttempt('RecordingNotFound', 'Exotel responded 404'),
    { msg: 'Recording step failed', code: 'RecordingNotFound', reason: 'Exotel responded 404' },
  ],
  [
    'waits',
    new RetryLater('ExotelRateLimited', 'Exotel responded 429', 7000),
    { msg: 'Recording step waits', code: 'ExotelRateLimited', reason: 'Exotel responded 429', pauseMs: 7000 },
  ],
])('When a step of a recording %s, then the log says so, with the call, the request and the attempt', async (_how, error, line) => {
  const call: CallRef = { callSid: newCallSid(), requestId: 'request-1' }
  const step = async (_call: CallRef): Promise<void> => {
    if (error) throw error
  }
  await environment(4)
    .run(step, call)
    .catch(() => {})
  expect(lines.map((each) => JSON.parse(each) as object)).toContainEqual(expect.objectContaining({ ...line, ...call, attempt: 4 }))
})

describe('When the text of a failure contains a secret or a phone number, then Temporal does not receive it:', () => {
  const text = 'https://s3.example/1.mp3?Signature=very-secret of +91 98123 45678 failed'
  test.each<[string, Error]>([
    ['the failure of an attempt', failAttempt('ExotelUnavailable', text)],
    ['the reason of a wait', new RetryLater('StorageUnavailable', text)],
    ['an unexpected error', new Error(text)],
  ])('%s', async (_which, error) => {
    const { message } = await failureOf(throwing(error))
    expect(message).toContain('s3.example')
    expect(message).not.toMatch(/very-secret|98123/)
  })
})

test('When attempts fail repeatedly, then the pause before the next one grows up to a limit', async () => {
  const pauses: number[] = []
  for (const attempt of [1, 3, 9, 100])
    pauses.push(Number((await failureOf(throwing(new RetryLater('StorageUnavailable', 'S3 does not respond')), attempt)).nextRetryDelay))
  const [first, third, ninth, last] = pauses as [number, number, number, number]
  expect(first).toBeLessThanOrEqual(2000)
  expect(third).toBeGreaterThanOrEqual(4000)
  for (const each of [ninth, last]) {
    expect(each).toBeGreaterThanOrEqual(150_000)
    expect(each).toBeLessThanOrEqual(300_000)
  }
})

test('When a service asks for no pause, then the next attempt still follows after one', async () => {
  const failure = await failureOf(throwing(new RetryLater('ExotelRateLimited', 'Exotel answered 429', 0)))
  expect(Number(failure.nextRetryDelay)).toBeGreaterThan(0)
})

test('When activities have ended, then their heartbeats have ended too', async () => {
  const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  const before = timers()
  for (let i = 0; i < 20; i += 1) await failureOf(throwing(failAttempt('ExotelUnavailable', 'Exotel does not respond')))
  expect(timers()).toBeLessThan(before + 20)
})
