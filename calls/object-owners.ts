// Finds the call that an object in the bucket belongs to, by the object's key and by the keys in rows and attempts.
import type { CallSid } from '../contracts/call-sid.ts'
import type { Queryable } from '../platform/database.ts'

/**
 * @returns the keys that no row has as stored or quarantined and no attempt has. They include an object that was missing and exists again,
 *   and all objects of erased calls.
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
  /** The number of the call's recordings, and of those that are stored. */
  recordings: number
  stored: number
  /** The link of one of them. */
  sourceUrl: string | null
}

/** Selects the call that an object belongs to by its key. */
export async function adopter(database: Queryable, callSid: CallSid): Promise<Adopter | undefined> {
  const [row] = await database.$queryRaw<Adopter[]>`
    SELECT c.recording_state AS state, count(r.id)::int AS recordings, count(r.id) FILTER (WHERE r.state = 'stored')::int AS stored,
           min(r.source_url) AS "sourceUrl"
    FROM calls c LEFT JOIN recordings r USING (call_sid) WHERE c.call_sid = ${callSid} GROUP BY c.call_sid`
  return row
}

/** Marks the recordings of an erased call as erased, because their objects are deleted. */
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
  /** When the object was written. Other bytes under the same key are another object. */
  since: Date
}

/**
 * Records an object whose bytes do not have the hash in its key, as an attempt that operators see. The next check does not read the object
 * again.
 */
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
