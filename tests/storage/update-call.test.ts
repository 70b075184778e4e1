// Writing an outcome to the rows: each attempt once, and an object of an erased call that the store does not delete in time.
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals'
import type { CallSid } from '../../contracts/call-sid.ts'
import type { Conclusion } from '../../contracts/recording.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { startFaultyS3, type FaultyS3 } from '../support/faulty-s3.ts'
import { newCallSid } from '../support/servers.ts'

const LINK = 'https://recordings.exotel.com/a/1.mp3'

let faulty: FaultyS3
let bench: Workbench
beforeAll(async () => {
  faulty = await startFaultyS3()
  bench = await openWorkbench({ s3Endpoint: faulty.url })
})
afterAll(async () => {
  await bench?.close()
  await faulty?.close()
})

const failed = (callSid: CallSid, sourceUrl: string): Conclusion => ({
  callSid,
  sourceUrl,
  outcome: { state: 'failed', code: 'ExotelUnavailable', error: 'Exotel responded 503' },
})

test('When one run concludes two recordings, then each has an attempt, and a repeated conclusion adds none', async () => {
  const callSid = newCallSid()
  const conclude = (activityId: string, attempt: number) =>
    bench.environment({ activityId, attempt }).run(bench.activities.updateCall, failed(callSid, `${LINK}${activityId}`))
  await conclude('1', 1)
  await conclude('2', 1)
  await conclude('2', 2) // Temporal did not receive the result of the first one
  const attempts = await bench.database.recordingAttempt.findMany({ where: { callSid }, orderBy: { id: 'asc' } })
  expect(attempts.map(({ sourceUrl }) => sourceUrl)).toEqual([`${LINK}1`, `${LINK}2`])
})

test('When the store does not answer the deletion of an object of an erased call, then the conclusion ends after a deadline', async () => {
  const callSid = newCallSid()
  const key = `recordings/2026/11/26/${callSid}-aaaaaaaaaaaa.mp3`
  const audio = { contentType: 'audio/mpeg', extension: 'mp3' }
  await bench.bucket.client.send(new PutObjectCommand({ Bucket: bench.bucket.name, Key: key, Body: '12345' }))
  await bench.database.call.create({ data: { callSid, recordingState: 'erased' } })
  const object = { bucket: bench.bucket.name, key, url: `${faulty.url}/${key}`, bytes: 5, sha256: 'a'.repeat(64), audio }
  const deadline = new AbortController()
  const timeout = jest.spyOn(AbortSignal, 'timeout').mockImplementation(() => deadline.signal)
  const { reached, release } = faulty.hold('DELETE')
  try {
    const concluded = bench.run('updateCall', { callSid, sourceUrl: LINK, outcome: { state: 'stored', ...object } })
    await reached
    expect(timeout.mock.calls).toEqual([[8000]]) // less than the timeout of the activity, which is 20 s
    deadline.abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError'))
    await concluded
    expect(await bench.bucket.keys()).toContain(key)
  } finally {
    timeout.mockRestore()
    release()
  }
})
