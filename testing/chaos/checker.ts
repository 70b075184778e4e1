// Compares what really happened with what is in the database, the bucket, the spools and Temporal. It shares no code with the
// product, and hashes every byte that the bucket holds.
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

/** Each entry says what is wrong, with the call's id. */
export interface Findings {
  /** Exotel named it and has it; we do not. */
  lost: string[]
  /** The same recording twice: as objects or as rows. */
  duplicated: string[]
  /** Bytes that the source served at no one time, another call's, another state than the truth. */
  wrong: string[]
  /** Objects, uploads, spool files, open workflows and events that belong to nothing any more. */
  orphans: string[]
  /** Callers' numbers or secrets in Temporal. */
  leaked: string[]
  /** Recordings that nobody but an unacknowledged POST ever named. */
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
    findings.orphans.push(...pending.map(({ call_sid }) => `${call_sid}: an event was never relayed`))
  } finally {
    await database.end()
  }
  for (const directory of places.spoolDirectories) {
    const left = readdirSync(directory).filter((name) => name !== '.lock')
    findings.orphans.push(...left.map((name) => `${name} is left in a spool`))
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
  for (const { call_sid } of calls) if (!truth.calls[call_sid]) findings.wrong.push(`${call_sid}: Exotel knows no such call`)
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
  if (!row || row.state === 'awaiting') return void findings.lost.push(`${callSid}: ${recording.link} is ${row?.state ?? 'unknown to us'}`)
  // What Exotel refused by every usual link may have come by a pre-signed one: then its bytes must be right.
  const came = recording.ends === 'failed' && row.state === 'stored'
  const isIncomplete = recording.ends === 'incomplete' && ['quarantined', 'failed'].includes(row.state)
  if (row.state !== recording.ends && !came && !isIncomplete) {
    const list = recording.ends === 'stored' ? findings.lost : findings.wrong
    return void list.push(`${callSid}: ${recording.link} is ${row.state}, not ${recording.ends}`)
  }
  if (row.state === 'failed') return
  const hash = row.object_key === null ? undefined : objects.get(row.object_key)
  if (hash === undefined) return void findings.lost.push(`${callSid}: the object ${row.object_key} is not in the bucket`)
  const version = recording.versions.find(({ sha256 }) => sha256 === hash)
  const isBeginning = isIncomplete && recording.versions.some(({ bytes }) => bytes > Number(row.bytes))
  if (!version && !isBeginning) findings.wrong.push(`${callSid}: ${row.object_key} has bytes that Exotel's source served at no one time`)
  else if (row.sha256 !== hash || (version && Number(row.bytes) !== version.bytes))
    findings.wrong.push(`${callSid}: the row of ${recording.link} tells another hash or size than the object has`)
  if (!row.object_key!.includes(callSid)) findings.wrong.push(`${callSid}: ${row.object_key} bears another call's id`)
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
  const urlFits =
    row.recording_url === null ? stored.length === 0 : stored.some(({ object_key }) => row.recording_url!.endsWith(`/${object_key}`))
  if (!urlFits) findings.wrong.push(`${callSid}: recording_url ${row.recording_url} is that of no stored recording`)
  const missing = states.some((state) => state === 'failed' || state === 'quarantined') || row.recording_state === 'failed'
  if (missing !== (row.recording_error_code !== null)) findings.wrong.push(`${callSid}: recording_error says ${row.recording_error_code}`)
}

function checkObjects(recordings: RecordingRow[], kept: Set<string>, objects: Map<string, string>, findings: Findings): void {
  const known = new Set([...kept, ...recordings.flatMap(({ object_key }) => object_key ?? [])])
  const seen = new Map<string, string>()
  for (const [key, hash] of objects) {
    if (!known.has(key)) findings.orphans.push(`${key} lies in the bucket without a row`)
    const content = `${/([A-Za-z0-9_-]+)-[0-9a-f]{12}\.\w+$/.exec(key)?.[1]} ${hash}`
    const other = seen.get(content)
    if (other !== undefined) findings.duplicated.push(`${key} holds the same bytes as ${other}`)
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
    findings.orphans.push(...Uploads.map(({ Key }) => `${Key}: an upload in parts was never completed`))
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
      findings.leaked.push(...found.map((text) => `${workflowId}: its history holds ${text}`))
    }
  } finally {
    await connection.close()
  }
}

/** All texts of a history, its payloads' bytes among them. JSON would show those in base64. */
function readable(value: unknown): string {
  if (typeof value === 'string') return value
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1')
  return typeof value === 'object' && value !== null ? Object.values(value).map(readable).join('\n') : ''
}
