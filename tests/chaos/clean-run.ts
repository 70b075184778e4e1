// A run of a few calls without faults. Tests plant one fault in it and compare the findings of the checker.
import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from '@jest/globals'
import { check, type Findings, type Places } from '../../testing/chaos/checker.ts'
import type { GroundTruth } from '../../testing/chaos/ground-truth.ts'
import { startBackend, type Backend } from '../support/backend.ts'
import { eventually } from '../support/eventually.ts'
import { sample } from '../support/samples.ts'
import { home } from '../support/servers.ts'

export interface CleanRun {
  backend: Backend
  places: Places
  truth: GroundTruth
  /** A stored call, its object, and that object's bytes. */
  victim: { callSid: string; key: string; bytes: Buffer }
  sql(text: string, ...values: unknown[]): Promise<{ rows: Record<string, unknown>[] }>
  s3(command: unknown): Promise<unknown>
  put(key: string, body: Buffer | string): Promise<unknown>
  remove(key: string): Promise<unknown>
}

/** A planted fault: a function that undoes it, and the ground truth if it differs. */
export interface Planted {
  undo: () => unknown
  truth?: GroundTruth
}

export async function startCleanRun(): Promise<CleanRun> {
  const backend = await startBackend()
  const { env, simulator } = backend
  const spool = mkdtempSync(join(home, 'spool-'))
  const places: Places = {
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
            versions: [{ sha256: call.recording.sha256, bytes: call.recording.bytes.length }],
            ends: ends[index]!,
            unacknowledged: false,
          },
        ]
      : []
  const truth: GroundTruth = {
    calls: Object.fromEntries(
      calls.map((each, index) => [each.call.callSid, { status: each.call.status, recordings: recordingOf(each, index) }]),
    ),
    privateTexts: ['9876543210', '8045678901'],
  }
  const { callSid, recording } = calls[0]!.call
  const victim = { callSid, key: (await backend.recordingRows(callSid))[0]!.object_key!, bytes: recording!.bytes }
  const s3 = (command: unknown): Promise<unknown> => backend.bucket.client.send(command as never)
  return {
    backend,
    places,
    truth,
    victim,
    sql: (text, ...values) => backend.database.query<Record<string, unknown>>(text, values),
    s3,
    put: (Key, Body) => s3(new PutObjectCommand({ Bucket: places.s3.bucket, Key, Body })),
    remove: (Key) => s3(new DeleteObjectCommand({ Bucket: places.s3.bucket, Key })),
  }
}

/** The kinds with at least one finding. */
export function kindsOf(findings: Findings): string[] {
  return Object.entries(findings).flatMap(([kind, entries]) => ((entries as string[]).length > 0 ? [kind] : []))
}

/** Plants a fault, expects exactly these kinds of findings, undoes the fault, and waits until the run is clean again. */
export async function expectFound({ places, truth }: CleanRun, kinds: string[], plant: () => Promise<Planted>): Promise<void> {
  const planted = await plant()
  try {
    expect(kindsOf(await check(planted.truth ?? truth, places)).toSorted()).toEqual(kinds.toSorted())
  } finally {
    await planted.undo()
  }
  await eventually('the run to be clean again', async () => kindsOf(await check(truth, places)).length === 0)
}
