import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { RECORDINGS_QUEUE, SCHEDULES, SESSION_CLEANUP_WORKFLOW } from '../../contracts/names.ts'
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

test('When two clean-ups run at once, then expired rows are deleted once, and valid rows stay', async () => {
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

test('When one kind fails, then the others are cleaned up, and the run fails with the reason', async () => {
  await loggedIn(backend.apiUrl, await registered(backend))
  await backend.database.query(`
    UPDATE sessions SET refresh_expires_at = now() - interval '1 s';
    INSERT INTO rate_limits VALUES ('expired', 1, 0);
    CREATE FUNCTION cancel_statement() RETURNS TRIGGER LANGUAGE plpgsql AS
      $$BEGIN RAISE EXCEPTION 'canceling statement due to statement timeout' USING ERRCODE = '57014'; END$$;
    CREATE TRIGGER cancel BEFORE DELETE ON sessions FOR EACH ROW EXECUTE FUNCTION cancel_statement()`)
  try {
    const failure: unknown = await cleanUp('clean-up-3').catch((error: unknown) => error)
    expect(failure).toMatchObject({
      cause: { type: 'CleanUpIncomplete', message: expect.stringMatching(/^sessions: .*statement timeout$/) },
    })
    expect((await backend.database.query(`SELECT FROM rate_limits WHERE key = 'expired'`)).rowCount).toBe(0)
    const { rows } = await backend.database.query<{ kind: string; finished: boolean }>(
      'SELECT kind, finished_at >= COALESCE(failed_at, finished_at) AS finished FROM clean_ups',
    )
    expect(rows.filter(({ finished }) => !finished).map(({ kind }) => kind)).toEqual(['sessions'])
  } finally {
    await backend.database.query('DROP TRIGGER cancel ON sessions')
  }
  expect((await cleanUp('clean-up-4')).sessions).toBeGreaterThan(0)
})

test('When a kind has not finished for a long time, then the health of a worker that starts contains the alarm', async () => {
  await backend.end('worker', 'SIGKILL')
  await backend.database.query(`UPDATE clean_ups SET finished_at = now() - interval '30 days' WHERE kind = 'mails'`)
  await backend.start('worker')
  const alarms = await eventually('the alarm', async () => {
    const health = (await (await fetch(backend.workerHealthUrl)).json()) as { alarms: unknown[] }
    return health.alarms.length > 0 && health.alarms
  })
  expect(alarms).toEqual([{ name: 'CleanUpOverdue', since: expect.any(String), reasonAt: expect.any(String) }])
  expect(backend.logs('worker')).toMatch(/CleanUpOverdue.*mails: last finished/)
  await cleanUp('clean-up-5')
  await eventually('the end of the alarm', async () => backend.logs('worker').includes('Recording alarm cleared'))
})

test('When the worker runs, then the clean-up has a schedule', async () => {
  const schedule = await eventually('the schedule', () => backend.temporal.schedule.getHandle(SCHEDULES.sessionCleanup).describe())
  expect(schedule.action).toMatchObject({ workflowType: SESSION_CLEANUP_WORKFLOW })
})
