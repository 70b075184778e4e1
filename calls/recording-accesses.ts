// Links to listen to a recording. Each link is a row that says who got it, added before the first byte is sent.
import { createHash, randomBytes } from 'node:crypto'
import type { CallSid } from '../contracts/call-sid.ts'
import type { Queryable } from '../platform/database.ts'

/** Longer than a call, which lasts at most 4 h: a listener may pause. The link also ends with the session of its owner. */
const LINK_SECONDS = 6 * 3600

export interface StoredRecording {
  callSid: CallSid
  recordingId: string
  bucket: string
  objectKey: string
  bytes: bigint
  sha256: string
  contentType: string | null
  durationSeconds: string | null
}

/** @returns undefined if the call has no such recording; `object` is absent if nothing of it is in the bucket */
export async function findRecordingToPlay(
  database: Queryable,
  callSid: CallSid,
  recordingId: string,
): Promise<{ state: string; object?: StoredRecording } | undefined> {
  const [row] = await database.$queryRaw<(StoredRecording & { state: string })[]>`
    SELECT ${callSid}::text AS "callSid", r.id::text AS "recordingId", CASE WHEN c.recording_state = 'erased' THEN 'erased' ELSE r.state END AS state,
           r.bucket, r.object_key AS "objectKey", r.bytes, r.sha256, r.content_type AS "contentType", r.duration_seconds AS "durationSeconds"
    FROM recordings r JOIN calls c USING (call_sid) WHERE r.call_sid = ${callSid} AND r.id = ${recordingId}::bigint`
  if (!row) return undefined
  const { state, ...object } = row
  return state === 'stored' || state === 'quarantined' ? { state, object } : { state }
}

interface Listener {
  userId: string
  email: string
  sessionId: string
  /** The client address. */
  source: string
}

/** @returns the secret of the link. Only its hash is stored */
export async function addAccess(
  database: Queryable,
  { callSid, recordingId }: StoredRecording,
  { userId, email, sessionId, source }: Listener,
  kind: 'play' | 'download',
): Promise<{ token: string; expiresAt: Date }> {
  const token = randomBytes(32).toString('base64url')
  const [row] = await database.$queryRaw<{ expiresAt: Date }[]>`
    INSERT INTO recording_accesses (call_sid, recording_id, kind, user_id, user_email, session_id, source, link_hash, expires_at)
    VALUES (${callSid}, ${recordingId}::bigint, ${kind}, ${userId}::uuid, ${email}, ${sessionId}::uuid, ${source}, ${hashOf(token)},
            now() + make_interval(secs => ${LINK_SECONDS}::int))
    RETURNING expires_at AS "expiresAt"`
  return { token, expiresAt: row!.expiresAt }
}

/** Records an export, before its first byte is sent. */
export async function addExport(database: Queryable, { userId, email, sessionId, source }: Listener, filters: object): Promise<void> {
  await database.$executeRaw`
    INSERT INTO recording_accesses (kind, user_id, user_email, session_id, source, filters)
    VALUES ('export', ${userId}::uuid, ${email}, ${sessionId}::uuid, ${source}, ${JSON.stringify(filters)}::jsonb)`
}

interface Access {
  callSid: CallSid
  recordingId: string
  kind: 'play' | 'download'
  userId: string
  sessionId: string
}

/** @returns undefined if the link is unknown or has expired */
export async function findAccess(database: Queryable, token: string): Promise<Access | undefined> {
  const [access] = await database.$queryRaw<Access[]>`
    SELECT call_sid AS "callSid", recording_id::text AS "recordingId", kind, user_id AS "userId", session_id AS "sessionId"
    FROM recording_accesses WHERE link_hash = ${hashOf(token)} AND expires_at > now()`
  return access
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}
