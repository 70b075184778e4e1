// Makes calls with the Exotel simulator, waits for their final state, and compares the row and the stored object with the expectation.
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { applicationConnection } from '../platform/database-url.ts'
import type { Fault } from '../testing/simulator/faults.ts'
import { recordingWorkflowId } from '../contracts/names.ts'
import type { DevStack } from './services.ts'

export interface CallResult {
  callSid: string
  workflowId: string
  fault: Fault
  state: string
  code: string | null
  recordingUrl: string | null
  bytes: number | null
  sha256: string | null
  expectedSha256: string
  seconds: number
  /** The state is the expected one for the fault, and a stored object has the right bytes. */
  asDeserved: boolean
}

export interface OrderedCall {
  callSid: string
  expected: { ends: string; code?: string }
  sha256: string
}

const DEFAULT_RECORDING = fileURLToPath(new URL('../testing/simulator/recordings/outbound-mono.mp3', import.meta.url))
const AT_ONCE = 20
const TIMEOUT_MS = 180_000
const POLL_MS = 200

export async function makeCalls(
  stack: DevStack,
  { count, fault, recording }: { count: number; fault: Fault; recording?: string | undefined },
  onResult: (result: CallResult) => void = () => {},
): Promise<CallResult[]> {
  const database = new pg.Pool({ ...applicationConnection(stack.databaseUrl, {}), max: 4 })
  database.on('error', () => {}) // the next query reports a lost connection
  const store = openStore(stack)
  const results: CallResult[] = []
  let left = count
  const makeCallsInSequence = async (): Promise<void> => {
    while (left-- > 0) {
      const startedAt = Date.now()
      const ordered = await orderCall(stack, fault, recording)
      const result = await resultOf(stack, { database, store }, ordered, fault, startedAt)
      results.push(result)
      onResult(result)
    }
  }
  try {
    await Promise.all(Array.from({ length: Math.min(count, AT_ONCE) }, makeCallsInSequence))
    return results
  } finally {
    await database.end()
    store.destroy()
  }
}

export async function orderCall(stack: DevStack, fault: Fault, recording?: string): Promise<OrderedCall> {
  if (!stack.simulatorUrl) throw new Error('EXOTEL_API_BASE_URL is set, so there is no simulator: make a call with your Exotel account.')
  const response = await fetch(`${stack.simulatorUrl}/simulator/calls`, {
    method: 'POST',
    body: JSON.stringify({ fault, recording: recording === undefined ? DEFAULT_RECORDING : resolve(recording) }),
  })
  if (!response.ok) throw new Error(`The Exotel simulator rejected the call: ${await response.text()}`)
  return (await response.json()) as OrderedCall
}

async function resultOf(
  stack: DevStack,
  { database, store }: { database: pg.Pool; store: S3Client },
  { callSid, expected, sha256: expectedSha256 }: OrderedCall,
  fault: Fault,
  startedAt: number,
): Promise<CallResult> {
  const row = await untilEnded(database, callSid)
  const object = row.object_key === null ? undefined : await readObject(store, row.bucket!, row.object_key)
  const state = row.recording_state
  return {
    callSid,
    workflowId: recordingWorkflowId(callSid),
    fault,
    state,
    code: row.recording_error_code,
    recordingUrl: row.recording_url,
    bytes: object?.bytes ?? null,
    sha256: object?.sha256 ?? null,
    expectedSha256,
    seconds: (Date.now() - startedAt) / 1000,
    asDeserved:
      state === 'stored'
        ? expected.ends === 'stored' && object?.sha256 === expectedSha256
        : state === expected.ends && row.recording_error_code === expected.code,
  }
}

interface EndedRow {
  recording_state: string
  recording_error_code: string | null
  recording_url: string | null
  bucket: string | null
  object_key: string | null
}

async function untilEnded(database: pg.Pool, callSid: string): Promise<EndedRow> {
  for (const deadline = Date.now() + TIMEOUT_MS; Date.now() < deadline; await pause(POLL_MS)) {
    const { rows } = await database.query<EndedRow>(
      `SELECT c.recording_state, c.recording_error_code, c.recording_url, r.bucket, r.object_key
       FROM calls c LEFT JOIN recordings r USING (call_sid)
       WHERE call_sid = $1 AND c.recording_state NOT IN ('none', 'awaiting')`,
      [callSid],
    )
    if (rows[0]) return rows[0]
  }
  throw new Error(`The recording of call ${callSid} is neither stored nor failed after ${TIMEOUT_MS / 1000} s: see .data/logs/worker.log`)
}

function openStore({ s3: { endpoint, region, accessKeyId, secretAccessKey } }: DevStack): S3Client {
  return new S3Client({ endpoint, region, forcePathStyle: true, credentials: { accessKeyId, secretAccessKey } })
}

async function readObject(store: S3Client, Bucket: string, Key: string): Promise<{ bytes: number; sha256: string }> {
  const { Body } = await store.send(new GetObjectCommand({ Bucket, Key }))
  const bytes = Buffer.from(await Body!.transformToByteArray())
  return { bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') }
}
