import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { RECORDINGS_QUEUE, SCHEDULES, SESSION_CLEANUP_WORKFLOW } from '../../workflows/contracts/names.ts'
import { loggedIn, post, registered } from '../support/accounts.ts'
import { startBackend, type Backend } from '../support/backend.ts'
import { eventually } from '../support/eventually.ts'

let backend: Backend
beforeAll(async () => {
  backend = await startBackend()
})
afterAll(() => backend?.stop())

const cleanUp = (workflowId: string): Promise<Record<string, number>> =>
  backend.temporal.workflow.execute(SESSION_CLEANUP_WORKFLOW, { workflowId, taskQueue: RECORDINGS_QUEUE }) as Promise<
    Record<string, number>
  >

test('When two clean-ups run at once, then what has expired goes once, and what is good stays', async () => {
  const person = await registered(backend)
  const { refreshToken } = await loggedIn(backend.apiUrl, person)
  for (let i = 0; i < 20; i += 1) await loggedIn(backend.apiUrl, person)
  await backend.database.query(
    `UPDATE sessions SET refresh_expires_at = now() - interval '1 s'
     WHERE id IN (SELECT id FROM sessions ORDER BY created_at DESC LIMIT 20)`,
  )
  const results = await Promise.all([cleanUp('clean-up-1'), cleanUp('clean-up-2')])
  expect(results[0]!.sessions! + results[1]!.sessions!).toBe(20)
  expect(Object.keys(results[0]!)).toEqual([
    'sessions',
    'blacklist',
    'resetTokens',
    'rateLimits',
    'webhookBodies',
    'signingKeys',
    'mails',
    'unverifiedAccounts',
  ])
  expect((await post(backend.apiUrl, '/api/auth/refresh', { refreshToken })).status).toBe(200)
})

test('When the worker runs, then clean-up has a schedule', async () => {
  const schedule = await eventually('the schedule', () => backend.temporal.schedule.getHandle(SCHEDULES.sessionCleanup).describe())
  expect(schedule.action).toMatchObject({ workflowType: SESSION_CLEANUP_WORKFLOW })
})
