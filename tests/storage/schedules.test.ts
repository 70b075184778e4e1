import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { Client } from '@temporalio/client'
import { ensureSchedules, type ScheduleSettings } from '../../temporal/schedules.ts'
import {
  LINK_SWEEP_WORKFLOW,
  OBJECT_CHECK_WORKFLOW,
  PEAKS_WORKFLOW,
  RECONCILE_WORKFLOW,
  RECORDINGS_QUEUE,
  RECOVERY_WORKFLOW,
  SCHEDULES,
  SESSION_CLEANUP_WORKFLOW,
} from '../../contracts/names.ts'
import { createNamespace } from '../support/servers.ts'

const SETTINGS: ScheduleSettings = {
  NODE_ENV: 'production',
  RECORDING_WAIT_SCALE: 1,
  RECOVERY_EVERY_MINUTES: 5,
  RECONCILE_EVERY_MINUTES: 60,
  LINK_SWEEP_EVERY_MINUTES: 3,
  SESSION_CLEANUP_EVERY_MINUTES: 60,
  PEAKS_EVERY_MINUTES: 30,
}
const HOUR_MS = 3600_000

let client: Client
let close: () => Promise<void>
beforeAll(async () => {
  ;({ client, close } = await createNamespace())
})
afterAll(async () => {
  await close?.()
})

const policiesOf = async (scheduleId: string) => (await client.schedule.getHandle(scheduleId).describe()).policies

test('When Temporal was unavailable at the time of a nightly run, then the run starts up to 12 h late, and runs of other schedules do not accumulate', async () => {
  const { objectCheck, reconcileNightly, ...others } = SCHEDULES
  await ensureSchedules(client, SETTINGS)
  for (const nightly of [objectCheck, reconcileNightly])
    expect(await policiesOf(nightly)).toMatchObject({ overlap: 'SKIP', catchupWindow: 12 * HOUR_MS })
  for (const regular of Object.values(others)) expect(await policiesOf(regular)).toMatchObject({ overlap: 'SKIP', catchupWindow: 60_000 })
})

test('When a schedule was created with another catch-up window, then the next start corrects it', async () => {
  const handle = client.schedule.getHandle(SCHEDULES.objectCheck)
  await handle.update(
    ({ spec, action, policies, state }) => ({ spec, action, policies: { ...policies, catchupWindow: '1m' }, state }) as never,
  )
  expect(await policiesOf(SCHEDULES.objectCheck)).toMatchObject({ catchupWindow: 60_000 })
  await ensureSchedules(client, SETTINGS)
  expect(await policiesOf(SCHEDULES.objectCheck)).toMatchObject({ catchupWindow: 12 * HOUR_MS })
})

test.each([
  ['development', 30_000],
  ['test', 3000],
] as const)('When waits are shortened in %s, then the most frequent schedule runs every %i ms', async (NODE_ENV, shortestMs) => {
  await ensureSchedules(client, { ...SETTINGS, NODE_ENV, RECORDING_WAIT_SCALE: 1 / 60 })
  const described = await Promise.all(Object.values(SCHEDULES).map((id) => client.schedule.getHandle(id).describe()))
  const everyMs = described.flatMap(({ spec }) => spec.intervals?.map(({ every }) => every) ?? [])
  expect(everyMs).toHaveLength(5)
  expect(Math.min(...everyMs)).toBe(shortestMs)
})

test('When the schedules are created, then each starts its own workflow at its own times, with a workflow id that has one open run', async () => {
  const minutes = {
    RECOVERY_EVERY_MINUTES: 1,
    RECONCILE_EVERY_MINUTES: 2,
    LINK_SWEEP_EVERY_MINUTES: 3,
    SESSION_CLEANUP_EVERY_MINUTES: 4,
    PEAKS_EVERY_MINUTES: 5,
  }
  await ensureSchedules(client, { ...SETTINGS, ...minutes })
  const created: Record<string, unknown> = {}
  for (const id of Object.values(SCHEDULES)) {
    const { action, spec } = await client.schedule.getHandle(id).describe()
    expect(action).toMatchObject({ workflowId: id, taskQueue: RECORDINGS_QUEUE })
    const nightly = spec.calendars?.map(({ hour, minute }) => `${hour[0]!.start}:${minute[0]!.start} UTC`) ?? []
    created[id] = [action.workflowType, action.args, ...(spec.intervals ?? []).map(({ every }) => every / 60_000), ...nightly]
  }
  expect(created).toEqual({
    [SCHEDULES.recovery]: [RECOVERY_WORKFLOW, [], 1],
    [SCHEDULES.reconcile]: [RECONCILE_WORKFLOW, ['regular'], 2],
    [SCHEDULES.linkSweep]: [LINK_SWEEP_WORKFLOW, [], 3],
    [SCHEDULES.sessionCleanup]: [SESSION_CLEANUP_WORKFLOW, [], 4],
    [SCHEDULES.peaks]: [PEAKS_WORKFLOW, [], 5],
    // It is night in India then.
    [SCHEDULES.reconcileNightly]: [RECONCILE_WORKFLOW, ['nightly'], '20:30 UTC'],
    [SCHEDULES.objectCheck]: [OBJECT_CHECK_WORKFLOW, [{ full: false }], '21:30 UTC'],
  })
})
