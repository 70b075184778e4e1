import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { ApplicationFailure } from '@temporalio/common'
import type { CallSid } from '../../contracts/call-sid.ts'
import type { Conclusion } from '../../contracts/recording.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { newCallSid } from '../support/servers.ts'

const LINK = 'https://recordings.exotel.com/a/1.mp3'

let bench: Workbench
beforeAll(async () => {
  bench = await openWorkbench()
})
afterAll(() => bench?.close())

/** @param sampleRate stored in an INTEGER column, so that a greater number is refused */
function conclusion(callSid: CallSid, sampleRate: number): Conclusion {
  const audio = { contentType: 'audio/mpeg', extension: 'mp3', sampleRate }
  const object = { bucket: 'b', key: `recordings/${callSid}.mp3`, url: 'https://s3/x', bytes: 10, sha256: 'a'.repeat(64), audio }
  return { callSid, sourceUrl: LINK, outcome: { state: 'stored', ...object } }
}

test('When PostgreSQL refuses an outcome permanently, then the activity waits for an hour with its own code and alarm', async () => {
  const callSid = newCallSid()
  const failure = await bench.run('updateCall', conclusion(callSid, 3e9)).catch((error: ApplicationFailure) => error)
  expect(failure).toMatchObject({ type: 'OutcomeRejected', nonRetryable: false, nextRetryDelay: 3600_000 })
  expect((failure as ApplicationFailure).message).toContain('22003')
  expect(bench.alarms.active()).toMatchObject([{ name: 'OutcomeRejected', reason: expect.stringContaining(callSid) }])

  await bench.run('updateCall', conclusion(newCallSid(), 8000))
  expect(bench.alarms.active()).toHaveLength(1) // the success of another call does not clear it
  await bench.run('updateCall', conclusion(callSid, 8000))
  expect(bench.alarms.active()).toEqual([])
  expect(await bench.database.call.findUniqueOrThrow({ where: { callSid } })).toMatchObject({ recordingState: 'stored' })
})
