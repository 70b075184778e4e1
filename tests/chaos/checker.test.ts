// Plants one fault at a time in a clean run. The checker must find each fault, and find nothing in the clean run.
import { AbortMultipartUploadCommand, CopyObjectCommand, CreateMultipartUploadCommand } from '@aws-sdk/client-s3'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { check } from '../../testing/chaos/checker.ts'
import { RECORDINGS_QUEUE } from '../../contracts/names.ts'
import { eventually } from '../support/eventually.ts'
import { newCallSid } from '../support/servers.ts'
import { expectFound, kindsOf, startCleanRun, type CleanRun, type Planted } from './clean-run.ts'

let run: CleanRun
beforeAll(async () => {
  run = await startCleanRun()
})
afterAll(() => run?.backend.stop())

test('When a run has no faults, then the checker finds nothing', async () => {
  expect(kindsOf(await check(run.truth, run.places))).toEqual([])
})

/** A planted fault, and the expected kinds of findings. */
const FAULTS: [string, string[], () => Promise<Planted>][] = [
  [
    'a stored object was deleted',
    ['lost'],
    async () => {
      await run.remove(run.victim.key)
      return { undo: () => run.put(run.victim.key, run.victim.bytes) }
    },
  ],
  [
    'a recording has no row',
    ['lost', 'wrong', 'orphans'],
    async () => {
      const { rows } = await run.sql('DELETE FROM recordings WHERE call_sid = $1 RETURNING *', run.victim.callSid)
      const row = rows[0] as Record<string, unknown>
      const names = Object.keys(row)
      const undo = () =>
        run.sql(
          `INSERT INTO recordings (${names.join()}) VALUES (${names.map((_, index) => `$${index + 1}`).join()})`,
          ...Object.values(row),
        )
      return { undo }
    },
  ],
  [
    'a recording is still waiting',
    ['lost', 'wrong'],
    async () => {
      await run.sql(`UPDATE recordings SET state = 'awaiting' WHERE call_sid = $1`, run.victim.callSid)
      return { undo: () => run.sql(`UPDATE recordings SET state = 'stored' WHERE call_sid = $1`, run.victim.callSid) }
    },
  ],
  [
    'a call that Exotel made has no row',
    ['lost'],
    async () => ({
      undo: () => {},
      truth: { ...run.truth, calls: { ...run.truth.calls, [newCallSid()]: { status: 'busy', recordings: [] } } },
    }),
  ],
  [
    'two objects have the same bytes',
    ['duplicated', 'orphans'],
    async () => {
      const copy = run.victim.key.replace(/\d{4}\/\d{2}\/\d{2}/, '2020/01/01')
      await run.s3(
        new CopyObjectCommand({ Bucket: run.places.s3.bucket, Key: copy, CopySource: `${run.places.s3.bucket}/${run.victim.key}` }),
      )
      return { undo: () => run.remove(copy) }
    },
  ],
  [
    'an object has other bytes',
    ['wrong'],
    async () => {
      await run.put(run.victim.key, 'other bytes')
      return { undo: () => run.put(run.victim.key, run.victim.bytes) }
    },
  ],
  [
    'a row has a wrong hash',
    ['wrong'],
    async () => {
      const { rows } = await run.sql('SELECT sha256 FROM recordings WHERE call_sid = $1', run.victim.callSid)
      await run.sql('UPDATE recordings SET sha256 = $2 WHERE call_sid = $1', run.victim.callSid, 'f'.repeat(64))
      return {
        undo: () =>
          run.sql('UPDATE recordings SET sha256 = $2 WHERE call_sid = $1', run.victim.callSid, (rows[0] as { sha256: string }).sha256),
      }
    },
  ],
  [
    'the URL of a call is not that of its recording',
    ['wrong'],
    async () => {
      const { rows } = await run.sql('SELECT recording_url FROM calls WHERE call_sid = $1', run.victim.callSid)
      await run.sql(`UPDATE calls SET recording_url = 'https://elsewhere' WHERE call_sid = $1`, run.victim.callSid)
      const undo = () =>
        run.sql(
          'UPDATE calls SET recording_url = $2 WHERE call_sid = $1',
          run.victim.callSid,
          (rows[0] as { recording_url: string }).recording_url,
        )
      return { undo }
    },
  ],
  [
    'a row describes a call that Exotel never made',
    ['wrong'],
    async () => {
      const callSid = newCallSid()
      await run.sql('INSERT INTO calls (call_sid) VALUES ($1)', callSid)
      return { undo: () => run.sql('DELETE FROM calls WHERE call_sid = $1', callSid) }
    },
  ],
  [
    'an object has no row',
    ['orphans'],
    async () => {
      const key = `recordings/2026/01/01/${newCallSid()}-0123456789ab.mp3`
      await run.put(key, 'x')
      return { undo: () => run.remove(key) }
    },
  ],
  [
    'a multipart upload was never completed',
    ['orphans'],
    async () => {
      const place = { Bucket: run.places.s3.bucket, Key: 'recordings/half.wav' }
      const { UploadId } = await run.backend.bucket.client.send(new CreateMultipartUploadCommand(place))
      return { undo: () => run.s3(new AbortMultipartUploadCommand({ ...place, UploadId })) }
    },
  ],
  [
    'a spool contains a file',
    ['orphans'],
    async () => {
      const path = join(run.places.spoolDirectories[0]!, 'left')
      writeFileSync(path, 'x')
      return { undo: () => rmSync(path) }
    },
  ],
  [
    'an event was never relayed',
    ['orphans'],
    async () => {
      await run.sql(
        `INSERT INTO webhook_events (source, route, identity, call_sid, relay_state, next_relay_at) VALUES ('operator', 'x', 'left', $1, 'pending', 'infinity')`,
        run.victim.callSid,
      )
      return { undo: () => run.sql(`DELETE FROM webhook_events WHERE identity = 'left'`) }
    },
  ],
  [
    'a workflow is open, and its history contains a phone number',
    ['orphans', 'leaked'],
    async () => {
      const workflow = await run.backend.temporal.workflow.start('RecordingWorkflow', {
        workflowId: `recording-${newCallSid()}`,
        taskQueue: `${RECORDINGS_QUEUE}-of-nobody`,
        args: [{ from: '09876543210' }],
      })
      await eventually(
        'the workflow to be visible',
        async () => (await run.backend.temporal.workflow.count(`ExecutionStatus = 'Running'`)).count > 0,
      )
      const namespace = run.backend.temporal.options.namespace
      const undo = async () => {
        await run.backend.temporal.workflowService.deleteWorkflowExecution({
          namespace,
          workflowExecution: { workflowId: workflow.workflowId },
        })
        await eventually(
          'the workflow to be deleted',
          async () => (await run.backend.temporal.workflow.count(`ExecutionStatus = 'Running'`)).count === 0,
        )
      }
      return { undo }
    },
  ],
  [
    'the only webhook about a recording was never acknowledged',
    ['unacknowledged'],
    async () => {
      const { recordings, status } = run.truth.calls[run.victim.callSid]!
      const unheard = { ...recordings[0]!, link: 'https://recordings.exotel.com/unheard', unacknowledged: true }
      return {
        undo: () => {},
        truth: { ...run.truth, calls: { ...run.truth.calls, [run.victim.callSid]: { status, recordings: [...recordings, unheard] } } },
      }
    },
  ],
]

test.each(FAULTS)('When %s, then the checker finds %j', (_what, kinds, plant) => expectFound(run, kinds, plant))
