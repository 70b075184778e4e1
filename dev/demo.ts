// Makes one example call and prints each step as it happens.
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
  'call-start': 'Webhook from Exotel: the call has started',
  'call-end': 'Webhook from Exotel: the call has ended; the recording is not available yet',
  recording: 'Webhook from Exotel: the recording is available, with its link',
}
const OWN_EVENTS: Record<string, string> = {
  reconcile: "Reconciliation has found the call in Exotel's list of calls",
  recovery: 'Recovery has started the workflow again',
}
const STEPS: Record<string, string> = {
  wait: 'The workflow waits',
  find: "The worker requests the link to the recording from Exotel's API",
  download: 'The worker downloads the recording from Exotel to its spool directory',
  validate: 'The worker checks that the file is complete and contains audio',
  upload: 'The worker uploads the file to the bucket and verifies the stored object',
  update: "The worker writes the result to the call's row in PostgreSQL",
}

export async function runDemo(stack: DevStack, print: (text: string) => void): Promise<void> {
  if (!stack.simulatorUrl) return print('\nEXOTEL_API_BASE_URL is set, so there is no simulator: make a call with your Exotel account.')
  const database = new pg.Client(applicationConnection(stack.databaseUrl, {}))
  database.on('error', () => {}) // the next query reports a lost connection
  await database.connect()
  const connection = await Connection.connect(
    temporalConnectionOptions({ ...readTemporalSettings(), TEMPORAL_ADDRESS: stack.temporalAddress }),
  )
  const temporal = new Client({ connection, namespace: stack.temporalNamespace })
  try {
    const { callSid } = await orderCall(stack, 'none')
    print(`\nExample call ${callSid}:`)
    await followCall(callSid, { database, temporal, stack, print })
  } finally {
    await connection.close()
    await database.end()
  }
}

interface DemoContext {
  database: pg.Client
  temporal: Client
  stack: DevStack
  print: (text: string) => void
}

async function followCall(callSid: string, { database, temporal, stack, print }: DemoContext): Promise<void> {
  const startedAt = Date.now()
  const printed = new Set<string>()
  const printOnce = (key: string, text: string): void => {
    if (printed.has(key)) return
    printed.add(key)
    print(`  ${((Date.now() - startedAt) / 1000).toFixed(1).padStart(5)} s  ${text}`)
  }
  for (const deadline = startedAt + TIMEOUT_MS; Date.now() < deadline; await pause(POLL_MS)) {
    const events = await database.query<StoredEvent>(
      'SELECT id, source, route, content_type FROM webhook_events WHERE call_sid = $1 ORDER BY id',
      [callSid],
    )
    for (const event of events.rows) printOnce(`event ${event.id}`, describeEvent(event))
    const status = await statusOf(temporal, callSid)
    if (status) {
      printOnce('started', `The workflow ${recordingWorkflowId(callSid)} is running${linkTo(stack, callSid)}`)
      if (STEPS[status.step]) printOnce(`step ${status.step}`, STEPS[status.step]!)
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
      printOnce('stored', `Stored: ${ended.bytes} bytes, ${Number(ended.seconds).toFixed(1)} s of ${ended.codec}\n           ${ended.url}`)
    else printOnce('ended', `Not stored, the state is ${ended.state}: ${ended.error}`)
    return
  }
  print(`  The recording is neither stored nor failed after ${TIMEOUT_MS / 1000} s: see .data/logs/`)
}

interface StoredEvent {
  id: string
  source: string
  route: string
  content_type: string | null
}

/** Schedules of the stack may also create events for the call. Those have no body and so no content type. */
function describeEvent({ source, route, content_type: type }: StoredEvent): string {
  if (source !== 'exotel') return OWN_EVENTS[source] ?? `Internal event: ${source}`
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
