// `npm run backfill -- --from YYYY-MM-DD [--to YYYY-MM-DD] [--open N]`: starts the workflow `backfill`, which imports older calls of the
// account at a limited rate, so that current calls are not delayed. Days are in India's time zone.
import { Client, Connection, WorkflowExecutionAlreadyStartedError } from '@temporalio/client'
import { parseArgs } from 'node:util'
import { parseExotelTime } from '../exotel/time.ts'
import { readBackfillSettings } from '../platform/config.ts'
import { CannotStart, runMain } from '../platform/process.ts'
import { temporalConnectionOptions } from '../temporal/connection-options.ts'
import type { BackfillRequest } from '../contracts/maintenance.ts'
import { BACKFILL_WORKFLOW, BACKFILL_WORKFLOW_ID, RECORDINGS_QUEUE } from '../contracts/names.ts'

const USAGE = 'Usage: npm run backfill -- --from YYYY-MM-DD [--to YYYY-MM-DD] [--open N]'
/** Exotel's API returns calls of the last six months. */
const REACH_MS = 180 * 24 * 3600_000

runMain(async () => {
  const settings = readBackfillSettings()
  const request = readRequest(settings)
  const connection = await Connection.connect(temporalConnectionOptions(settings)).catch((error: unknown) => {
    throw new CannotStart(`Temporal cannot be reached at ${settings.TEMPORAL_ADDRESS}: ${(error as Error).message}`)
  })
  const temporal = new Client({ connection, namespace: settings.TEMPORAL_NAMESPACE })
  const options = {
    workflowId: BACKFILL_WORKFLOW_ID,
    taskQueue: RECORDINGS_QUEUE,
    args: [request],
    staticSummary: `${request.from} to ${request.to}`,
  }
  await temporal.workflow.start(BACKFILL_WORKFLOW, options).catch((error: unknown) => {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error
    throw new CannotStart(`A backfill is already running: see the workflow ${BACKFILL_WORKFLOW_ID} in Temporal's Web UI`)
  })
  await connection.close()
  console.log(
    `Backfill of ${request.from} to ${request.to} was started as the workflow ${BACKFILL_WORKFLOW_ID}. See its progress in Temporal's Web UI.`,
  )
})

function readRequest({ RECONCILE_BACKFILL_FROM, RECORDING_WAIT_SCALE }: ReturnType<typeof readBackfillSettings>): BackfillRequest {
  const { from, to, open } = readOptions()
  const now = Date.now()
  const wantedMs = startOfDay(from ?? RECONCILE_BACKFILL_FROM, '--from')
  const fromMs = Math.max(wantedMs, now - REACH_MS)
  if (wantedMs < fromMs) console.log("Exotel's API returns calls of the last six months only: older calls are skipped.")
  const toMs = to === undefined ? now : Math.min(startOfDay(to, '--to'), now)
  if (fromMs >= toMs) throw new CannotStart('--from must be before --to, and not in the future')
  const openAtMost = Number(open ?? 100)
  if (!Number.isInteger(openAtMost) || openAtMost < 1) throw new CannotStart(`--open must be a positive whole number of calls. ${USAGE}`)
  return { from: new Date(fromMs).toISOString(), to: new Date(toMs).toISOString(), openAtMost, waitScale: RECORDING_WAIT_SCALE }
}

function readOptions(): { from?: string; to?: string; open?: string } {
  try {
    return parseArgs({ options: { from: { type: 'string' }, to: { type: 'string' }, open: { type: 'string' } } }).values
  } catch (error) {
    throw new CannotStart(`${(error as Error).message}. ${USAGE}`)
  }
}

function startOfDay(day: string | undefined, name: string): number {
  const start = day && /^\d{4}-\d{2}-\d{2}$/.test(day) ? parseExotelTime(`${day} 00:00:00`) : undefined
  if (!start) throw new CannotStart(`${name} ${day === undefined ? 'is missing' : 'is not a valid date'}. ${USAGE}`)
  return start.getTime()
}
