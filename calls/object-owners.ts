// To which call an object of the bucket belongs, by its key and by what rows and attempts name.
import type { CallSid } from '../contracts/call-sid.ts'
import type { Queryable } from '../platform/database.ts'

/**
 * Of these keys, those that no row and no attempt knows as stored or as kept in quarantine; one that was missing and is back is
 * among them. What is erased owns nothing: of an erased call all keys are among them.
 */
export async function unknownKeys(database: Queryable, keys: string[]): Promise<string[]> {
  const rows = await database.$queryRaw<{ key: string }[]>`
    SELECT key FROM unnest(${keys}::text[]) AS listed (key)
    WHERE NOT EXISTS (
        SELECT FROM recordings r WHERE r.object_key = key AND r.state IN ('stored', 'quarantined')
          AND (SELECT c.recording_state FROM calls c WHERE c.call_sid = r.call_sid) <> 'erased')
      AND NOT EXISTS (
        SELECT FROM recording_attempts a WHERE a.object_key = key
          AND (SELECT c.recording_state FROM calls c WHERE c.call_sid = a.call_sid) <> 'erased')`
  return rows.map(({ key }) => key)
}

export interface Adopter {
  state: string
  /** All of the call's, and those of them that are stored. */
  recordings: number
  stored: number
  /** The link of the first. */
  sourceUrl: string | null
}

/** The call that an object belongs to by its key. */
export async function adopter(database: Queryable, callSid: CallSid): Promise<Adopter | undefined> {
  const [row] = await database.$queryRaw<Adopter[]>`
    SELECT c.recording_state AS state, count(r.id)::int AS recordings, count(r.id) FILTER (WHERE r.state = 'stored')::int AS stored,
           min(r.source_url) AS "sourceUrl"
    FROM calls c LEFT JOIN recordings r USING (call_sid) WHERE c.call_sid = ${callSid} GROUP BY c.call_sid`
  return row
}

/** The rows of an erased call name no objects that are kept. */
export async function markRecordingsErased(database: Queryable, callSid: CallSid): Promise<void> {
  await database.$executeRaw`
    UPDATE recordings r SET state = 'erased', state_since = now(), error = NULL, error_code = NULL, next_try_at = NULL, given_up_at = NULL,
      updated_at = now()
    WHERE r.call_sid = ${callSid} AND r.state <> 'erased'
      AND EXISTS (SELECT FROM calls c WHERE c.call_sid = r.call_sid AND c.recording_state = 'erased')`
}

export interface WrongObject {
  callSid: CallSid
  key: string
  /** When it was put there: other bytes under the same key are another object. */
  since: Date
}

/** An object does not hold the bytes that its key names: an attempt that operators see, and that spares it from being read again. */
export async function recordWrongObject(database: Queryable, object: WrongObject): Promise<void> {
  await database.$executeRaw`
    INSERT INTO recording_attempts (call_sid, source_url, identity, state, error, error_code)
    VALUES (${object.callSid}, ${`object:${object.key}`}, ${identityOf(object)}, 'failed', 'The object does not hold the bytes that its key names', 'RecordingInvalid')
    ON CONFLICT (identity) DO NOTHING`
}

export async function isKnownAsWrong(database: Queryable, object: WrongObject): Promise<boolean> {
  const rows = await database.$queryRaw<unknown[]>`SELECT FROM recording_attempts WHERE identity = ${identityOf(object)}`
  return rows.length > 0
}

function identityOf({ key, since }: WrongObject): string {
  return `wrong object ${key} of ${since.toISOString()}`
}
