// Clean-up of more rows than one statement can delete within its timeout.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { ApplicationFailure } from '@temporalio/common'
import { pino } from 'pino'
import { checkCleanUps } from '../../activities/clean-up-alarm.ts'
import type { AlarmName } from '../../contracts/alarm-names.ts'
import { createAlarms } from '../../platform/alarm-registry.ts'
import { CLEAN_UP_KINDS } from '../../contracts/maintenance.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'

const HASH = '$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA'

let bench: Workbench
beforeEach(async () => {
  bench = await openWorkbench()
})
afterEach(() => bench?.close())

/** Inserts expired sessions of one account, each with this number of used tokens. */
async function expiredSessions(sessions: number, tokens: number): Promise<void> {
  await bench.owner.$executeRaw`
    WITH account AS (
      INSERT INTO users (email, name, password_hash, verified_at) VALUES ('a@example.com', 'A', ${HASH}, now()) RETURNING id
    ), expired AS (
      INSERT INTO sessions (user_id, refresh_hash, refresh_expires_at, expires_at)
      SELECT id, encode(sha256(('s' || s)::bytea), 'hex'), now() - interval '1 hour', now() + interval '1 day'
      FROM account, generate_series(1, ${sessions}::int) AS s
      RETURNING id, user_id
    )
    INSERT INTO refresh_token_blacklist (token_hash, session_id, user_id, reason, expires_at)
    SELECT encode(sha256((id::text || t)::bytea), 'hex'), id, user_id, 'rotated', now() + interval '1 day'
    FROM expired, generate_series(1, ${tokens}::int) AS t`
}

/** Cancels each later statement that deletes more rows of this table, like a statement timeout. */
async function cancelDeletesOver(table: string, rows: number): Promise<void> {
  await bench.owner.$executeRawUnsafe(`
    CREATE FUNCTION cancel_${table}() RETURNS TRIGGER LANGUAGE plpgsql AS $$
    BEGIN
      IF (SELECT count(*) FROM gone) > ${rows} THEN
        RAISE EXCEPTION 'canceling statement due to statement timeout' USING ERRCODE = '57014';
      END IF;
      RETURN NULL;
    END $$`)
  await bench.owner.$executeRawUnsafe(`
    CREATE TRIGGER cancel AFTER DELETE ON ${table} REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION cancel_${table}()`)
}

const left = async () => [await bench.owner.session.count(), await bench.owner.refreshTokenBlacklist.count()]

describe('When statements time out', () => {
  test('then batches get smaller until they succeed, and all rows are deleted', async () => {
    await expiredSessions(3, 200)
    await cancelDeletesOver('refresh_token_blacklist', 40)
    await cancelDeletesOver('sessions', 1)
    expect(await bench.run('cleanUp', 'sessions')).toBe(3)
    expect(await left()).toEqual([0, 0])
  })

  test('then rows that reference an account are deleted in batches before it', async () => {
    await expiredSessions(3, 200)
    await bench.owner.$executeRaw`UPDATE users SET verified_at = NULL, created_at = now() - interval '8 days'`
    await cancelDeletesOver('refresh_token_blacklist', 40)
    expect(await bench.run('cleanUp', 'unverifiedAccounts')).toBe(1)
    expect(await bench.owner.user.count()).toBe(0)
  })

  test('then no row that references a session is deleted by a cascade', async () => {
    await expiredSessions(1, 10)
    await bench.owner.$transaction(async (tx) => {
      await tx.$queryRaw`SELECT FROM refresh_token_blacklist LIMIT 1 FOR UPDATE`
      expect(await bench.run('cleanUp', 'sessions')).toBe(0)
    })
    expect(await left()).toEqual([1, 1])
    expect(await bench.run('cleanUp', 'sessions')).toBe(1)
  })

  test('then a kind of which no single row can be deleted fails and records this, and rows that were deleted before stay deleted', async () => {
    await expiredSessions(2, 3)
    await cancelDeletesOver('sessions', 0)
    const failure = await bench.run('cleanUp', 'sessions').catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(ApplicationFailure)
    expect(failure).toMatchObject({ type: 'CleanUpTimedOut', nonRetryable: true, message: expect.stringContaining('one row') })
    expect(await left()).toEqual([2, 0])
    expect(await bench.owner.cleanUp.findUnique({ where: { kind: 'sessions' } })).toMatchObject({
      finishedAt: null,
      problem: expect.stringContaining('one row'),
    })
  })

  test('then bodies of webhooks are deleted in smaller batches', async () => {
    await bench.owner.$executeRaw`
      INSERT INTO webhook_events (source, route, identity, call_sid, raw_body, relay_state, received_at)
      SELECT 'exotel', 'call-end', i::text, 'c', 'x', 'started', now() - interval '91 days' FROM generate_series(1, 50) AS i`
    await bench.owner.$executeRawUnsafe(`
      CREATE FUNCTION cancel_bodies() RETURNS TRIGGER LANGUAGE plpgsql AS $$
      BEGIN
        IF (SELECT count(*) FROM changed) > 7 THEN RAISE EXCEPTION 'canceling statement' USING ERRCODE = '57014'; END IF;
        RETURN NULL;
      END $$`)
    await bench.owner.$executeRawUnsafe(`
      CREATE TRIGGER cancel AFTER UPDATE ON webhook_events REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION cancel_bodies()`)
    expect(await bench.run('cleanUp', 'webhookBodies')).toBe(50)
  })
})

describe('When a kind has not finished for a day', () => {
  const DAY = 24 * 3600_000
  const alarmsNow = async () => {
    const alarms = createAlarms<AlarmName>(pino({ level: 'silent' })) // the alarms of a worker that has just started
    await checkCleanUps({ database: bench.database, alarms }, DAY)
    return alarms.active()
  }

  test('then an alarm names it and the reason, also after a restart, and is cleared when it has finished', async () => {
    for (const kind of CLEAN_UP_KINDS) await bench.run('cleanUp', kind)
    expect(await alarmsNow()).toEqual([])
    await expiredSessions(1, 1)
    await cancelDeletesOver('sessions', 0)
    await bench.run('cleanUp', 'sessions').catch(() => {})
    expect(await alarmsNow()).toEqual([])
    await bench.owner.$executeRaw`UPDATE clean_ups SET finished_at = now() - interval '25 hours' WHERE kind = 'sessions'`
    const [alarm, ...others] = await alarmsNow()
    expect([alarm?.name, others]).toEqual(['CleanUpOverdue', []])
    expect(alarm!.reason).toMatch(/sessions.*one row/)
    expect(alarm!.reason).not.toContain('rateLimits')

    await bench.owner.$executeRawUnsafe('DROP TRIGGER cancel ON sessions')
    await checkCleanUps({ database: bench.database, alarms: bench.alarms }, DAY)
    expect(bench.alarms.active()).toHaveLength(1)
    await bench.run('cleanUp', 'sessions')
    await checkCleanUps({ database: bench.database, alarms: bench.alarms }, DAY)
    expect(bench.alarms.active()).toEqual([])
    expect(await bench.owner.cleanUp.findUnique({ where: { kind: 'sessions' } })).toMatchObject({ failedAt: null, problem: null })
  })

  test('then the alarm is also raised if the clock was ahead when it last finished, a day after the clock was corrected', async () => {
    for (const kind of CLEAN_UP_KINDS) await bench.run('cleanUp', kind)
    await bench.owner.$executeRaw`UPDATE clean_ups SET finished_at = now() + interval '1 year' WHERE kind = 'sessions'`
    expect(await alarmsNow()).toEqual([])
    await bench.owner.$executeRaw`UPDATE clean_ups SET finished_at = finished_at - interval '25 hours' WHERE kind = 'sessions'`
    expect((await alarmsNow()).map(({ name }) => name)).toEqual(['CleanUpOverdue'])
  })

  test('then the alarm is raised immediately if it never ran and the clock was ahead when a worker first checked', async () => {
    expect(await alarmsNow()).toEqual([])
    await bench.owner.$executeRaw`UPDATE clean_ups SET known_since = now() + interval '1 year'`
    expect((await alarmsNow()).map(({ name }) => name)).toEqual(['CleanUpOverdue'])
  })

  test('then the alarm is also raised if clean-up never ran, a day after a worker first checked', async () => {
    expect(await alarmsNow()).toEqual([])
    await bench.owner.$executeRaw`UPDATE clean_ups SET known_since = now() - interval '25 hours'`
    expect((await alarmsNow()).map(({ name }) => name)).toEqual(['CleanUpOverdue'])
  })
})
