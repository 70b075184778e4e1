// What the fast path does when a step fails and PostgreSQL does not respond either.
import { expect, jest, test } from '@jest/globals'
import { pino } from 'pino'
import { withAttempt, type ActivityAttempt } from '../../activities/attempt.ts'
import { failAttempt } from '../../activities/failures.ts'
import { createFastTransfer } from '../../activities/fast-transfer.ts'
import { callSid } from '../support/servers.ts'

const ATTEMPT: ActivityAttempt = {
  number: 1,
  scheduledMs: 1,
  idempotencyKey: 'k',
  signal: new AbortController().signal,
  reportProgress: () => {},
}
const never = () => new Promise<never>(() => {})

test('When PostgreSQL does not respond, then a failure of the recording is reported with the spool that has its bytes', async () => {
  const failure = failAttempt('DownloadIncomplete', 'cut', { queue: 'spool-a', reachedBytes: 5 })
  const fastTransfer = createFastTransfer(
    {
      spool: { queue: 'spool-a', fileFor: () => 'f', holds: async () => true },
      breaker: { state: () => 'closed' },
      logger: pino({ level: 'silent' }),
    },
    {
      downloadRecording: () => Promise.reject(failure),
      validateRecording: jest.fn(never),
      uploadRecording: jest.fn(never),
      updateCall: jest.fn(never),
      findOutcome: never,
    },
  )
  const input = { callSid: callSid('a1'), sourceUrl: 'https://x.test/a.mp3', maxBytes: 10, conclusionId: 'c' }
  await expect(withAttempt(ATTEMPT, () => fastTransfer(input))).rejects.toBe(failure)
})
