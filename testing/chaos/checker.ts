// Compares the ground truth with the database, the bucket, the spools and Temporal. It shares no code with the product, and hashes
// every object in the bucket.
import { GetObjectCommand, ListMultipartUploadsCommand, paginateListObjectsV2, S3Client } from '@aws-sdk/client-s3'
import { Client, Connection } from '@temporalio/client'
import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import pg from 'pg'
import type { GroundTruth } from './ground-truth.ts'

export interface Places {
  databaseUrl: string
  s3: { endpoint: string; region: string; bucket: string; accessKeyId: string; secretAccessKey: string }
  temporal: { address: string; namespace: string }
  spoolDirectories: string[]
}

/** Each entry says what is wrong, with the CallSid or the object key. */
export interface Findings {
  /** Recordings that Exotel named and has, but that are not stored. */
  lost: string[]
  /** Recordings with two objects or two rows. */
  duplicated: string[]
  /** Wrong states, bytes of no version of the file, bytes of another call, and wrong facts in rows. */
  wrong: string[]
  /** Objects without a row, and uploads, spool files, open workflows and pending events that should not exist any more. */
  orphans: string[]
  /** Phone numbers or secrets in workflow histories. */
  leaked: string[]
  /** Recordings that were named only in a POST that was never acknowledged. Not counted as faults. */
  unacknowledged: string[]
}

interface CallRow {
  call_sid: string
  recording_state: string
  recording_url: string | null
  recording_error_code: string | null
}

interface RecordingRow {
  call_sid: string
  source_url: string
  state: string
  object_key: string | null
  sha256: string | null
  bytes: string | null
}

export async function check(truth: GroundTruth, places: Places): Promise<Findings> {
  const findings: Findings = { lost: [], duplicated: [], wrong: [], orphans: [], leaked: [], unacknowledged: [] }
  const database = new pg.Client({ connectionString: places.databaseUrl })
  await database.connect()
  try {
    const objects = await hashBucket(places.s3, findings)
    const calls = (await database.query<CallRow>('SELECT * FROM calls')).rows
    const recordings = (await database.query<RecordingRow>('SELECT * FROM recordings')).rows
    const { rows: kept } = await database.query<{ object_key: string }>(
      'SELECT object_key FROM recording_attempts WHERE object_key IS NOT NULL',
    )
    checkCalls(truth, calls, recordings, objects, findings)
    checkObjects(recordings, new Set(kept.map(({ object_key }) => object_key)), objects, findings)
    const { rows: pending } = await database.query<{ call_sid: string }>(
      `SELECT call_sid FROM webhook_events WHERE relay_state = 'pending'`,
    )
    findings.orphans.push(...pending.map(({ call_sid }) => `${call_sid}: an event was not relayed`))
  } finally {
    await database.end()
  }
  for (const directory of places.spoolDirectories) {
    const left = readdirSync(directory).filter((name) => name !== '.lock')
    findings.orphans.push(...left.map((name) => `${name} was not deleted from a spool`))
  }
  await checkTemporal(truth, places.temporal, findings)
  return findings
}

function checkCalls(
  truth: GroundTruth,
  calls: CallRow[],
  recordings: RecordingRow[],
  objects: Map<string, string>,
  findings: Findings,
): void {
  const rowOf = new Map(calls.map((row) => [row.call_sid, row]))
  for (const { call_sid } of calls) if (!truth.calls[call_sid]) findings.wrong.push(`${call_sid}: the call does not exist at Exotel`)
  for (const [callSid, call] of Object.entries(truth.calls)) {
    const row = rowOf.get(callSid)
    if (!row) {
      findings.lost.push(`${callSid}: the call has no row`)
      continue
    }
    const mine = recordings.filter(({ call_sid }) => call_sid === callSid)
    for (const recording of call.recordings) checkRecording(callSid, recording, mine, objects, findings)
    const known = new Set(call.recordings.map(({ link }) => link))
    for (const { source_url } of mine) if (!known.has(source_url)) findings.wrong.push(`${callSid}: Exotel never named ${source_url}`)
    checkSummary(callSid, row, call, mine, findings)
  }
}

function checkRecording(
  callSid: string,
  recording: GroundTruth['calls'][string]['recordings'][number],
  mine: RecordingRow[],
  objects: Map<string, string>,
  findings: Findings,
): void {
  const rows = mine.filter(({ source_url }) => source_url === recording.link)
  if (rows.length > 1) findings.duplicated.push(`${callSid}: ${rows.length} rows for ${recording.link}`)
  const [row] = rows
  if (!row && recording.unacknowledged) return void findings.unacknowledged.push(`${callSid}: ${recording.link}`)
  if (!row || row.state === 'awaiting')
    return void findings.lost.push(`${callSid}: ${recording.link} ${row ? `is still ${row.state}` : 'has no row'}`)
  // Exotel refuses the plain link, but a pre-signed link may have worked. The bytes are then checked below.
  const isUnexpectedlyStored = recording.ends === 'failed' && row.state === 'stored'
  const isIncomplete = recording.ends === 'incomplete' && ['quarantined', 'failed'].includes(row.state)
  if (row.state !== recording.ends && !isUnexpectedlyStored && !isIncomplete) {
    const list = recording.ends === 'stored' ? findings.lost : findings.wrong
    return void list.push(`${callSid}: ${recording.link} is ${row.state}, not ${recording.ends}`)
  }
  if (row.state === 'failed') return
  const hash = row.object_key === null ? undefined : objects.get(row.object_key)
  if (hash === undefined) return void findings.lost.push(`${callSid}: the object ${row.object_key} is not in the bucket`)
  const version = recording.versions.find(({ sha256 }) => sha256 === hash)
  const isIncompleteFile = isIncomplete && recording.versions.some(({ bytes }) => bytes > Number(row.bytes))
  if (!version && !isIncompleteFile) findings.wrong.push(`${callSid}: the bytes of ${row.object_key} are those of no version of the file`)
  else if (row.sha256 !== hash || (version && Number(row.bytes) !== version.bytes))
    findings.wrong.push(`${callSid}: the row of ${recording.link} has a hash or size that differs from the object's`)
  if (!row.object_key!.includes(callSid)) findings.wrong.push(`${callSid}: the key ${row.object_key} does not contain the CallSid`)
}

function checkSummary(callSid: string, row: CallRow, call: GroundTruth['calls'][string], mine: RecordingRow[], findings: Findings): void {
  const states = mine.map(({ state }) => state)
  const expected = states.includes('stored')
    ? ['stored']
    : states.length > 0
      ? states
      : call.status === 'completed' && call.recordings.length > 0
        ? ['failed']
        : ['not_recorded']
  if (!expected.includes(row.recording_state))
    findings.wrong.push(`${callSid}: the call is ${row.recording_state}, not ${expected.join(' or ')}`)
  const stored = mine.filter(({ state }) => state === 'stored')
  const isUrlRight =
    row.recording_url === null ? stored.length === 0 : stored.some(({ object_key }) => row.recording_url!.endsWith(`/${object_key}`))
  if (!isUrlRight) findings.wrong.push(`${callSid}: recording_url is ${row.recording_url}, which is not the URL of a stored recording`)
  const missing = states.some((state) => state === 'failed' || state === 'quarantined') || row.recording_state === 'failed'
  if (missing !== (row.recording_error_code !== null))
    findings.wrong.push(`${callSid}: recording_error_code is ${row.recording_error_code}, expected ${missing ? 'a code' : 'null'}`)
}

function checkObjects(recordings: RecordingRow[], kept: Set<string>, objects: Map<string, string>, findings: Findings): void {
  const known = new Set([...kept, ...recordings.flatMap(({ object_key }) => object_key ?? [])])
  const seen = new Map<string, string>()
  for (const [key, hash] of objects) {
    if (!known.has(key)) findings.orphans.push(`${key} is in the bucket but has no row`)
    const content = `${/([A-Za-z0-9_-]+)-[0-9a-f]{12}\.\w+$/.exec(key)?.[1]} ${hash}`
    const other = seen.get(content)
    if (other !== undefined) findings.duplicated.push(`${key} has the same bytes as ${other}`)
    seen.set(content, key)
  }
}

async function hashBucket(
  { bucket: Bucket, endpoint, region, ...credentials }: Places['s3'],
  findings: Findings,
): Promise<Map<string, string>> {
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true })
  try {
    const hashes = new Map<string, string>()
    for await (const { Contents = [] } of paginateListObjectsV2({ client }, { Bucket })) {
      for (const { Key } of Contents) {
        const { Body } = await client.send(new GetObjectCommand({ Bucket, Key }))
        hashes.set(
          Key!,
          createHash('sha256')
            .update(await Body!.transformToByteArray())
            .digest('hex'),
        )
      }
    }
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket }))
    findings.orphans.push(...Uploads.map(({ Key }) => `${Key}: a multipart upload was neither completed nor aborted`))
    return hashes
  } finally {
    client.destroy()
  }
}

async function checkTemporal({ privateTexts }: GroundTruth, { address, namespace }: Places['temporal'], findings: Findings): Promise<void> {
  const connection = await Connection.connect({ address })
  try {
    const client = new Client({ connection, namespace })
    for await (const { workflowId, runId, status } of client.workflow.list({ query: `WorkflowType = 'RecordingWorkflow'` })) {
      if (status.name === 'RUNNING') findings.orphans.push(`${workflowId} is still open`)
      const history = readable(await client.workflow.getHandle(workflowId, runId).fetchHistory())
      const found = [...privateTexts, 'Signature=', 'authorization'].filter((text) => history.includes(text))
      findings.leaked.push(...found.map((text) => `${workflowId}: the history contains ${text}`))
    }
  } finally {
    await connection.close()
  }
}

/** Returns all texts of a history, including the bytes of payloads. JSON would contain those as base64. */
function readable(value: unknown): string {
  if (typeof value === 'string') return value
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1')
  return typeof value === 'object' && value !== null ? Object.values(value).map(readable).join('\n') : ''
}
