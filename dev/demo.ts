// One call before a person's eyes: what happens, in plain words, as it happens.
import { Client, Connection } from '@temporalio/client'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { readTemporalSettings } from '../platform/config.ts'
import { applicationConnection } from '../platform/database-url.ts'
import { temporalConnectionOptions } from '../temporal/connection-options.ts'
import { recordingWorkflowId, STATUS_QUERY } from '../contracts/names.ts'
import type { RecordingStatus } from '../contracts/recording.ts'
import { orderCall } from './call.ts'
import type { DevStack } from './services.ts'

const POLL_MS = 100
const TIMEOUT_MS = 120_000
const ROUTES: Record<string, string> = {
  'call-start': 'Exotel says that a call has begun',
  'call-end': 'Exotel says that the call has ended; it has no recording yet',
  recording: 'Exotel says where the recording is',
}
const OWN_EVENTS: Record<string, string> = {
  reconcile: "Reconciliation finds the call in Exotel's list",
  recovery: 'Recovery begins the call anew',
}
const STEPS: Record<string, string> = {
  wait: 'The workflow waits',
  find: 'The workflow asks Exotel for the recording',
  download: 'The worker downloads the recording from Exotel into its spool',
  validate: 'The worker checks that it is whole and really audio',
  upload: 'The worker uploads it to the bucket and confirms it there',
  update: "The worker writes the outcome into the call's row",
}

export async function runDemo(stack: DevStack, say: (text: string) => void): Promise<void> {
  if (!stack.simulatorUrl) return say('\nEXOTEL_API_BASE_URL points to a real Exotel: make a call there, and watch it here.')
  const database = new pg.Client(applicationConnection(stack.databaseUrl, {}))
  database.on('error', () => {}) // a cut connection shows at the next query
  await database.connect()
  const connection = await Connection.connect(
    temporalConnectionOptions({ ...readTemporalSettings(), TEMPORAL_ADDRESS: stack.temporalAddress }),
  )
  const temporal = new Client({ connection, namespace: stack.temporalNamespace })
  try {
    const { callSid } = await orderCall(stack, 'none')
    say(`\nA call takes place: ${callSid}`)
    await tell(callSid, { database, temporal, stack, say })
  } finally {
    await connection.close()
    await database.end()
  }
}

interface Scene {
  database: pg.Client
  temporal: Client
  stack: DevStack
  say: (text: string) => void
}

async function tell(callSid: string, { database, temporal, stack, say }: Scene): Promise<void> {
  const began = Date.now()
  const told = new Set<string>()
  const tellOnce = (key: string, text: string): void => {
    if (told.has(key)) return
    told.add(key)
    say(`  ${((Date.now() - began) / 1000).toFixed(1).padStart(5)} s  ${text}`)
  }
  for (const deadline = began + TIMEOUT_MS; Date.now() < deadline; await pause(POLL_MS)) {
    const events = await database.query<StoredEvent>(
      'SELECT id, source, route, content_type FROM webhook_events WHERE call_sid = $1 ORDER BY id',
      [callSid],
    )
    for (const event of events.rows) tellOnce(`event ${event.id}`, describeEvent(event))
    const status = await statusOf(temporal, callSid)
    if (status) {
      tellOnce('started', `The workflow ${recordingWorkflowId(callSid)} runs${linkTo(stack, callSid)}`)
      if (STEPS[status.step]) tellOnce(`step ${status.step}`, STEPS[status.step]!)
    }
    const { rows } = await database.query<{
      state: string
      error: string | null
      url: string | null
      bytes: string
      seconds: string
      codec: string
    }>(
      `SELECT c.recording_state AS state, c.recording_error AS error, c.recording_url AS url, r.bytes, r.duration_seconds AS seconds, r.codec
       FROM calls c LEFT JOIN recordings r USING (call_sid) WHERE call_sid = $1 AND c.recording_state NOT IN ('none', 'awaiting')`,
      [callSid],
    )
    const [ended] = rows
    if (!ended) continue
    if (ended.state === 'stored')
      tellOnce('stored', `Stored: ${ended.bytes} bytes, ${Number(ended.seconds).toFixed(1)} s of ${ended.codec}\n           ${ended.url}`)
    else tellOnce('ended', `Ended ${ended.state}: ${ended.error}`)
    return
  }
  say(`  The call has not ended after ${TIMEOUT_MS / 1000} s: see .data/logs/`)
}

interface StoredEvent {
  id: string
  source: string
  route: string
  content_type: string | null
}

/** Schedules of the stack may come upon the call as well: their events have no body, so no type. */
function describeEvent({ source, route, content_type: type }: StoredEvent): string {
  if (source !== 'exotel') return OWN_EVENTS[source] ?? `An event of our own: ${source}`
  return `${ROUTES[route] ?? route} (signed${type ? `, ${type.split(';')[0]}` : ''})`
}

async function statusOf(temporal: Client, callSid: string): Promise<RecordingStatus | undefined> {
  return temporal.workflow
    .getHandle(recordingWorkflowId(callSid))
    .query<RecordingStatus>(STATUS_QUERY)
    .catch(() => undefined)
}

function linkTo({ temporalUiUrl, temporalNamespace }: DevStack, callSid: string): string {
  return temporalUiUrl ? `\n           ${temporalUiUrl}/namespaces/${temporalNamespace}/workflows/${recordingWorkflowId(callSid)}` : ''
}
