// Temporal schedules as the settings want them: made where missing, brought up to date where they differ.
import { ScheduleAlreadyRunning, ScheduleOverlapPolicy, type Client, type ScheduleOptions } from '@temporalio/client'
import { RECORDINGS_QUEUE, RECOVERY_SCHEDULE, RECOVERY_WORKFLOW } from '../workflows/contracts/names.ts'

export interface ScheduleSettings {
  RECORDING_WAIT_SCALE: number
  RECOVERY_EVERY_MINUTES: number
}

/** After an outage of Temporal one missed run is caught up, not all of them. */
const CATCHUP_WINDOW = '1m'

/** Safe at every start and from several workers at once. A paused schedule stays paused. */
export async function ensureSchedules(temporal: Client, settings: ScheduleSettings): Promise<void> {
  const everyMs = (minutes: number): number => Math.max(1000, Math.round(minutes * 60_000 * settings.RECORDING_WAIT_SCALE))
  await ensureSchedule(temporal, {
    scheduleId: RECOVERY_SCHEDULE,
    spec: { intervals: [{ every: everyMs(settings.RECOVERY_EVERY_MINUTES) }] },
    action: {
      type: 'startWorkflow',
      workflowType: RECOVERY_WORKFLOW,
      workflowId: RECOVERY_SCHEDULE,
      taskQueue: RECORDINGS_QUEUE,
      args: [],
    },
  })
}

async function ensureSchedule(
  temporal: Client,
  { scheduleId, spec, action }: Required<Pick<ScheduleOptions, 'scheduleId' | 'spec' | 'action'>>,
): Promise<void> {
  const policies = { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: CATCHUP_WINDOW } as const
  try {
    await temporal.schedule.create({ scheduleId, spec, action, policies })
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error
    await temporal.schedule.getHandle(scheduleId).update(({ state }) => ({ spec, action: action as never, policies, state }))
  }
}
