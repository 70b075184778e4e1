// Two recordings of one call are concluded at the same time. The test stops both transactions at chosen statements.
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import pg from 'pg'
import type { CallSid } from '../../contracts/call-sid.ts'
import { concludeRecording } from '../../calls/conclude-recording.ts'
import { nameRecording } from '../../calls/recording-facts.ts'
import type { Outcome } from '../../contracts/recording.ts'
import { RECOVERY } from '../support/activities.ts'
import { untilBlocked, untilWaitingAt } from '../support/locks.ts'
import { newCallSid, openDatabase, type OpenDatabase } from '../support/servers.ts'

const LINKS = ['https://recordings.exotel.com/a/1.mp3', 'https://recordings.exotel.com/a/2.mp3']
/** The advisory locks that a conclusion needs before it writes its recording's row, and before it writes its call's row. */
const [RECORDING_WRITTEN, CALL_WRITTEN] = [1, 2]

let opened: OpenDatabase
let gates: pg.Client
beforeAll(async () => {
  opened = await openDatabase()
  gates = new pg.Client({ connectionString: opened.url })
  await gates.connect()
  await gates.query(`
    CREATE FUNCTION wait_at_gate() RETURNS TRIGGER LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM pg_advisory_xact_lock_shared(TG_ARGV[0]::bigint);
      RETURN NEW;
    END $$;
    CREATE TRIGGER gate AFTER UPDATE ON recordings FOR EACH ROW EXECUTE FUNCTION wait_at_gate(${RECORDING_WRITTEN});
    CREATE TRIGGER gate BEFORE UPDATE ON calls FOR EACH ROW
      WHEN (NEW.recording_state IS DISTINCT FROM OLD.recording_state) EXECUTE FUNCTION wait_at_gate(${CALL_WRITTEN})`)
})
afterAll(async () => {
  await gates?.end()
  await opened?.close()
})

let callSid: CallSid
beforeEach(async () => {
  callSid = newCallSid()
  for (const sourceUrl of LINKS) await nameRecording(opened.database, callSid, { sourceUrl })
})

/** Neither transaction writes the call's row before both have written their recordings' rows, unless one waits for the other. */
async function concludeBoth(outcomes: Outcome[]): Promise<void> {
  const { database } = opened
  await gates.query(`SELECT pg_advisory_lock(${RECORDING_WRITTEN}), pg_advisory_lock(${CALL_WRITTEN})`)
  const conclusions = outcomes.map((outcome, index) => {
    const sourceUrl = LINKS[index]!
    return concludeRecording(database, { callSid, sourceUrl, outcome }, { attempt: `${callSid} ${sourceUrl}`, plan: RECOVERY })
  })
  await untilBlocked(database, conclusions)
  await gates.query(`SELECT pg_advisory_unlock(${RECORDING_WRITTEN})`)
  await untilWaitingAt(database, CALL_WRITTEN, 2)
  await gates.query(`SELECT pg_advisory_unlock(${CALL_WRITTEN})`)
  await Promise.all(conclusions)
}
const expired: Outcome = { state: 'failed', code: 'RecordingExpired', error: 'Exotel no longer has it' }

test('When both recordings of a call are given up at the same time, then the call is given up', async () => {
  await concludeBoth([expired, expired])
  expect(await opened.database.call.findUniqueOrThrow({ where: { callSid } })).toMatchObject({
    recordingState: 'failed',
    recordingErrorCode: 'RecordingExpired',
    recordingNextTryAt: null,
    recordingGivenUpAt: expect.any(Date),
  })
})
