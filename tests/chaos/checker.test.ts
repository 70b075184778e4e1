// The checker is handed a clean run with one fault planted, and must find it, and nothing in the clean one.
import {
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { check, type Findings, type Places } from '../../chaos/checker.ts'
import type { Truth } from '../../chaos/truth.ts'
import { RECORDINGS_QUEUE } from '../../workflows/contracts/names.ts'
import { startBackend, type Backend } from '../support/backend.ts'
import { eventually } from '../support/eventually.ts'
import { sample } from '../support/samples.ts'
import { home, newCallSid } from '../support/servers.ts'

let backend: Backend
let places: Places
let truth: Truth
/** A stored call, its object, and that object's bytes. */
let victim: { callSid: string; key: string; bytes: Buffer }

beforeAll(async () => {
  backend = await startBackend()
  const { env, simulator } = backend
  const spool = mkdtempSync(join(home, 'spool-'))
  places = {
    databaseUrl: backend.databaseUrl,
    s3: {
      endpoint: env.WASABI_ENDPOINT!,
      region: env.WASABI_REGION!,
      bucket: env.WASABI_BUCKET!,
      accessKeyId: env.WASABI_ACCESS_KEY!,
      secretAccessKey: env.WASABI_SECRET_KEY!,
    },
    temporal: { address: env.TEMPORAL_ADDRESS!, namespace: env.TEMPORAL_NAMESPACE! },
    spoolDirectories: [spool],
  }
  const cut = join(spool, 'cut.wav')
  writeFileSync(cut, readFileSync(sample('voicemail-pcm.wav')).subarray(0, 100_000))
  const plans = [
    { fault: 'none', recording: sample('short-vbr-id3.mp3') },
    { fault: 'none', recording: cut },
    { fault: 'html', recording: sample('short-vbr-id3.mp3') },
    { fault: 'none', status: 'busy' },
  ] as const
  const ends = ['stored', 'quarantined', 'failed', 'stored'] as const
  const calls = plans.map((plan) => simulator.call(plan))
  rmSync(cut)
  await Promise.all(calls.map(({ told }) => told))
  for (const { call } of calls) await backend.concluded(call.callSid)
  const recordingOf = ({ call }: (typeof calls)[number], index: number) =>
    call.recording
      ? [
          {
            link: simulator.linkTo(call),
            sha256: call.recording.sha256,
            bytes: call.recording.bytes.length,
            ends: ends[index]!,
            unknowable: false,
          },
        ]
      : []
  truth = {
    calls: Object.fromEntries(
      calls.map((each, index) => [each.call.callSid, { status: each.call.status, recordings: recordingOf(each, index) }]),
    ),
    privateTexts: ['9876543210', '8045678901'],
  }
  const { callSid, recording } = calls[0]!.call
  victim = { callSid, key: (await backend.recordingRows(callSid))[0]!.object_key!, bytes: recording!.bytes }
})
afterAll(() => backend?.stop())

const sql = (text: string, ...values: unknown[]) => backend.database.query(text, values)
const s3 = (command: unknown) => backend.bucket.client.send(command as never)
const put = (Key: string, Body: Buffer | string) => s3(new PutObjectCommand({ Bucket: places.s3.bucket, Key, Body }))
const remove = (Key: string) => s3(new DeleteObjectCommand({ Bucket: places.s3.bucket, Key }))
const kindsOf = (findings: Findings) =>
  Object.entries(findings).flatMap(([kind, entries]) => ((entries as string[]).length > 0 ? [kind] : []))

test('When nothing is wrong, then nothing is found', async () => {
  expect(kindsOf(await check(truth, places))).toEqual([])
})

/** What is planted, which kinds of finding it must give, and how it is undone. */
type Planted = { undo: () => unknown; truth?: Truth }
const FAULTS: [string, string[], () => Promise<Planted>][] = [
  [
    'an object that was stored is gone',
    ['lost'],
    async () => {
      await remove(victim.key)
      return { undo: () => put(victim.key, victim.bytes) }
    },
  ],
  [
    'a recording has no row',
    ['lost', 'wrong', 'orphans'],
    async () => {
      const { rows } = await sql('DELETE FROM recordings WHERE call_sid = $1 RETURNING *', victim.callSid)
      const row = rows[0] as Record<string, unknown>
      const names = Object.keys(row)
      const undo = () =>
        sql(`INSERT INTO recordings (${names.join()}) VALUES (${names.map((_, index) => `$${index + 1}`).join()})`, ...Object.values(row))
      return { undo }
    },
  ],
  [
    'a recording still waits',
    ['lost', 'wrong'],
    async () => {
      await sql(`UPDATE recordings SET state = 'awaiting' WHERE call_sid = $1`, victim.callSid)
      return { undo: () => sql(`UPDATE recordings SET state = 'stored' WHERE call_sid = $1`, victim.callSid) }
    },
  ],
  [
    'a call that Exotel made has no row',
    ['lost'],
    async () => ({ undo: () => {}, truth: { ...truth, calls: { ...truth.calls, [newCallSid()]: { status: 'busy', recordings: [] } } } }),
  ],
  [
    'the same bytes lie there twice',
    ['duplicated', 'orphans'],
    async () => {
      const copy = victim.key.replace(/\d{4}\/\d{2}\/\d{2}/, '2020/01/01')
      await s3(new CopyObjectCommand({ Bucket: places.s3.bucket, Key: copy, CopySource: `${places.s3.bucket}/${victim.key}` }))
      return { undo: () => remove(copy) }
    },
  ],
  [
    'an object has other bytes',
    ['wrong'],
    async () => {
      await put(victim.key, 'other bytes')
      return { undo: () => put(victim.key, victim.bytes) }
    },
  ],
  [
    'a row tells another hash',
    ['wrong'],
    async () => {
      const { rows } = await sql('SELECT sha256 FROM recordings WHERE call_sid = $1', victim.callSid)
      await sql('UPDATE recordings SET sha256 = $2 WHERE call_sid = $1', victim.callSid, 'f'.repeat(64))
      return {
        undo: () => sql('UPDATE recordings SET sha256 = $2 WHERE call_sid = $1', victim.callSid, (rows[0] as { sha256: string }).sha256),
      }
    },
  ],
  [
    'a call leads to an object that is none of its own',
    ['wrong'],
    async () => {
      const { rows } = await sql('SELECT recording_url FROM calls WHERE call_sid = $1', victim.callSid)
      await sql(`UPDATE calls SET recording_url = 'https://elsewhere' WHERE call_sid = $1`, victim.callSid)
      const undo = () =>
        sql('UPDATE calls SET recording_url = $2 WHERE call_sid = $1', victim.callSid, (rows[0] as { recording_url: string }).recording_url)
      return { undo }
    },
  ],
  [
    'a row is about a call that Exotel never made',
    ['wrong'],
    async () => {
      const callSid = newCallSid()
      await sql('INSERT INTO calls (call_sid) VALUES ($1)', callSid)
      return { undo: () => sql('DELETE FROM calls WHERE call_sid = $1', callSid) }
    },
  ],
  [
    'an object has no row',
    ['orphans'],
    async () => {
      const key = `recordings/2026/01/01/${newCallSid()}-0123456789ab.mp3`
      await put(key, 'x')
      return { undo: () => remove(key) }
    },
  ],
  [
    'an upload in parts was never completed',
    ['orphans'],
    async () => {
      const place = { Bucket: places.s3.bucket, Key: 'recordings/half.wav' }
      const { UploadId } = await backend.bucket.client.send(new CreateMultipartUploadCommand(place))
      return { undo: () => s3(new AbortMultipartUploadCommand({ ...place, UploadId })) }
    },
  ],
  [
    'a spool holds a file',
    ['orphans'],
    async () => {
      const path = join(places.spoolDirectories[0]!, 'left')
      writeFileSync(path, 'x')
      return { undo: () => rmSync(path) }
    },
  ],
  [
    'an event was never relayed',
    ['orphans'],
    async () => {
      await sql(
        `INSERT INTO webhook_events (source, route, identity, call_sid, relay_state, next_relay_at) VALUES ('operator', 'x', 'left', $1, 'pending', 'infinity')`,
        victim.callSid,
      )
      return { undo: () => sql(`DELETE FROM webhook_events WHERE identity = 'left'`) }
    },
  ],
  [
    'a workflow is open, and holds a number',
    ['orphans', 'leaked'],
    async () => {
      const workflow = await backend.temporal.workflow.start('RecordingWorkflow', {
        workflowId: `recording-${newCallSid()}`,
        taskQueue: `${RECORDINGS_QUEUE}-of-nobody`,
        args: [{ from: '09876543210' }],
      })
      await eventually('it to be seen', async () => (await backend.temporal.workflow.count(`ExecutionStatus = 'Running'`)).count > 0)
      const namespace = backend.temporal.options.namespace
      const undo = async () => {
        await backend.temporal.workflowService.deleteWorkflowExecution({
          namespace,
          workflowExecution: { workflowId: workflow.workflowId },
        })
        await eventually('it to be gone', async () => (await backend.temporal.workflow.count(`ExecutionStatus = 'Running'`)).count === 0)
      }
      return { undo }
    },
  ],
  [
    'nobody ever acknowledged the only word of a recording',
    ['unknowable'],
    async () => {
      const { recordings, status } = truth.calls[victim.callSid]!
      const unheard = { ...recordings[0]!, link: 'https://recordings.exotel.com/unheard', unknowable: true }
      return {
        undo: () => {},
        truth: { ...truth, calls: { ...truth.calls, [victim.callSid]: { status, recordings: [...recordings, unheard] } } },
      }
    },
  ],
]

test.each(FAULTS)('When %s, then the checker finds %j', async (_what, kinds, plant) => {
  const planted = await plant()
  try {
    expect(kindsOf(await check(planted.truth ?? truth, places)).toSorted()).toEqual(kinds.toSorted())
  } finally {
    await planted.undo()
  }
  await eventually('the run to be clean again', async () => kindsOf(await check(truth, places)).length === 0)
})
