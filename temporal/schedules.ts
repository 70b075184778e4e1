// Creates the Temporal schedules, or updates them to the current settings.
import { ScheduleAlreadyRunning, ScheduleNotFoundError, ScheduleOverlapPolicy, type Client, type ScheduleSpec } from '@temporalio/client'
import {
  OBJECT_CHECK_WORKFLOW,
  LINK_SWEEP_WORKFLOW,
  PEAKS_WORKFLOW,
  RECONCILE_WORKFLOW,
  RECORDINGS_QUEUE,
  RECOVERY_WORKFLOW,
  SESSION_CLEANUP_WORKFLOW,
  SCHEDULES,
} from '../contracts/names.ts'

export interface ScheduleSettings {
  NODE_ENV: 'development' | 'test' | 'production'
  RECORDING_WAIT_SCALE: number
  RECOVERY_EVERY_MINUTES: number
  RECONCILE_EVERY_MINUTES: number
  LINK_SWEEP_EVERY_MINUTES: number
  SESSION_CLEANUP_EVERY_MINUTES: number
  PEAKS_EVERY_MINUTES: number
}

/**
 * How late a run may start after an outage of Temporal. A run at an interval is not caught up, because the next one follows soon. A nightly
 * run is caught up, but not as late as the next night.
 */
const CATCHUP_WINDOW = { interval: '1m', calendar: '12h' } as const
/** With shorter intervals, the Web UI of a development stack would list little else. */
const SHORTEST_INTERVAL_MS = { development: 30_000, test: 1000, production: 1000 }
/** UTC. It is night in India then. */
const NIGHTLY = { hour: 20, minute: 30 }
const OBJECTS_AT = { hour: 21, minute: 30 }

/** Several workers may call this at the same time, at each of their starts. A paused schedule stays paused. */
export async function ensureSchedules(temporal: Client, settings: ScheduleSettings): Promise<void> {
  const every = (minutes: number): ScheduleSpec => ({
    intervals: [{ every: Math.max(SHORTEST_INTERVAL_MS[settings.NODE_ENV], Math.round(minutes * 60_000 * settings.RECORDING_WAIT_SCALE)) }],
  })
  const { recovery, reconcile, reconcileNightly, linkSweep, objectCheck, sessionCleanup, peaks } = SCHEDULES
  await ensureSchedule(temporal, recovery, every(settings.RECOVERY_EVERY_MINUTES), RECOVERY_WORKFLOW)
  await ensureSchedule(temporal, reconcile, every(settings.RECONCILE_EVERY_MINUTES), RECONCILE_WORKFLOW, 'regular')
  await ensureSchedule(temporal, reconcileNightly, { calendars: [NIGHTLY] }, RECONCILE_WORKFLOW, 'nightly')
  await ensureSchedule(temporal, linkSweep, every(settings.LINK_SWEEP_EVERY_MINUTES), LINK_SWEEP_WORKFLOW)
  await ensureSchedule(temporal, objectCheck, { calendars: [OBJECTS_AT] }, OBJECT_CHECK_WORKFLOW, { full: false })
  await ensureSchedule(temporal, sessionCleanup, every(settings.SESSION_CLEANUP_EVERY_MINUTES), SESSION_CLEANUP_WORKFLOW)
  await ensureSchedule(temporal, peaks, every(settings.PEAKS_EVERY_MINUTES), PEAKS_WORKFLOW)
}

const TRIGGER_DEADLINE_MS = 5000

/**
 * Starts a schedule's workflow now, unless it is running.
 * @returns false if the schedule does not exist, because no worker has started yet
 */
export async function triggerSchedule(temporal: Client, scheduleId: string): Promise<boolean> {
  try {
    await temporal.withDeadline(Date.now() + TRIGGER_DEADLINE_MS, () => temporal.schedule.getHandle(scheduleId).trigger())
    return true
  } catch (error) {
    if (error instanceof ScheduleNotFoundError) return false
    throw error
  }
}

async function ensureSchedule(
  temporal: Client,
  scheduleId: string,
  spec: ScheduleSpec,
  workflowType: string,
  ...args: unknown[]
): Promise<void> {
  const action = { type: 'startWorkflow' as const, workflowType, workflowId: scheduleId, taskQueue: RECORDINGS_QUEUE, args }
  const catchupWindow = spec.calendars ? CATCHUP_WINDOW.calendar : CATCHUP_WINDOW.interval
  const policies = { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow }
  try {
    await temporal.schedule.create({ scheduleId, spec, action, policies })
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error
    await temporal.schedule.getHandle(scheduleId).update(({ state }) => ({ spec, action, policies, state }))
  }
}
