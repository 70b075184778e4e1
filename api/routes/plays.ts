// Listening to recordings: a link for one recording, and the bytes behind it. Players send requests for ranges and cannot send a token,
// so the link itself is the proof. It ends with the session and the role of the user that got it.
import type { Request, Response } from 'express'
import { pipeline } from 'node:stream/promises'
import { z } from 'zod'
import type { AccountsContext } from '../../accounts/context.ts'
import { includesRole } from '../../accounts/roles.ts'
import { ownerOfSession } from '../../accounts/sessions.ts'
import { addAccess, findAccess, findRecordingToPlay, type StoredRecording } from '../../calls/recording-accesses.ts'
import type { CallSid } from '../../contracts/call-sid.ts'
import type { Database } from '../../platform/database.ts'
import { problem } from '../../platform/http-problems.ts'
import type { Logger } from '../../platform/logger.ts'
import { readObjectKey } from '../../recordings/object-key.ts'
import { ObjectGone, StreamsBusy, type RecordingStreams } from '../../recordings/recording-streams.ts'
import { classifyStoreError } from '../../recordings/store-errors.ts'
import { readRange } from '../byte-range.ts'
import { clientOf, type Limits } from '../limits.ts'
import { RETRY_AFTER_OUTAGE } from '../middleware/errors.ts'
import { identityOf } from '../middleware/authenticate.ts'
import { requireRole } from '../middleware/require-role.ts'
import { operation, type Operation } from '../operation.ts'
import { callSid, moment, rowId } from './call-parameters.ts'

export interface PlayRoutesDependencies {
  database: Database
  accounts: AccountsContext
  limits: Limits
  streams: RecordingStreams
  logger: Logger
}

/** Other types could run as a document of our origin. */
const AUDIO_TYPE = /^audio\/[a-z0-9.+-]{1,50}$/
const RETRY_SOON = { 'Retry-After': '2' }

const kind = z.enum(['play', 'download'])
const play = z.strictObject({
  url: z.string().meta({ description: 'Serves the bytes, also in ranges. It needs no token' }),
  expiresAt: moment,
  bytes: z.number(),
  contentType: z.string(),
  durationSeconds: z.string().nullable(),
})
const TOKEN = /^[\w-]{43}$/

export function playOperations(deps: PlayRoutesDependencies): Operation[] {
  const { database, accounts, limits } = deps
  return [
    operation({
      method: 'post',
      path: '/api/calls/{callSid}/recordings/{recordingId}/plays',
      summary: 'Records that the user listens to a recording or downloads it, and returns a link to its bytes',
      tag: 'calls',
      security: 'user',
      role: 'operator',
      guards: [limits.perAddress('general'), requireRole(accounts, 'operator')],
      parameters: z.strictObject({ callSid, recordingId: rowId }),
      body: z.strictObject({ kind }),
      statuses: [201],
      answer: play,
      problems: ['action_refused'],
      async handle(body, request, response, { path }) {
        const identity = identityOf(response)
        await limits.countPlay(identity.userId)
        const recording = await recordingToPlay(database, path)
        const { token, expiresAt } = await addAccess(database, recording, { ...identity, source: clientOf(request) }, body.kind)
        return {
          url: `/api/plays/${token}`,
          expiresAt: expiresAt.toISOString(),
          bytes: Number(recording.bytes),
          contentType: typeOf(recording),
          durationSeconds: recording.durationSeconds,
        }
      },
    }),
    operation({
      method: 'get',
      path: '/api/plays/{token}',
      summary: 'Serves the bytes of a recording: all of them, or the range that is requested',
      tag: 'calls',
      security: 'none',
      guards: [limits.perAddress('general')],
      parameters: z.strictObject({ token: z.string().max(100) }),
      statuses: [200, 206],
      content: ['audio/*', 'application/octet-stream'],
      problems: ['play_link_invalid', 'object_missing', 'action_refused', 'range_not_satisfiable', 'storage_unavailable', 'busy'],
      async handle(_body, request, response, { path }) {
        const { recording, kind } = await playOf(deps, path.token)
        await send(deps, request, response, { recording, kind })
      },
    }),
  ]
}

/** @throws {Problem} `not_found`, `action_refused` */
async function recordingToPlay(
  database: Database,
  { callSid, recordingId }: { callSid: CallSid; recordingId: string },
): Promise<StoredRecording> {
  const found = await findRecordingToPlay(database, callSid, recordingId)
  if (!found) throw problem('not_found', 'The call has no such recording')
  if (!found.object) throw problem('action_refused', `The recording cannot be listened to: its state is ${found.state}`)
  if (found.object.bytes > BigInt(Number.MAX_SAFE_INTEGER)) throw problem('action_refused', 'The row claims a size that no recording has')
  return found.object
}

/** The same error for a link that never existed and for one that has ended. @throws {Problem} `play_link_invalid` */
async function playOf({ database }: PlayRoutesDependencies, token: string) {
  const access = TOKEN.test(token) ? await findAccess(database, token) : undefined
  const listener = access && (await ownerOfSession(database, access))
  if (!access || !listener || !includesRole(listener.role, 'operator'))
    throw problem('play_link_invalid', 'Open the call again to get a new link')
  return { recording: await recordingToPlay(database, access), kind: access.kind }
}

interface Play {
  recording: StoredRecording
  kind: 'play' | 'download'
}

async function send(deps: PlayRoutesDependencies, request: Request, response: Response, { recording, kind }: Play): Promise<void> {
  const bytes = Number(recording.bytes)
  const etag = `"${recording.sha256}"`
  const ifRange = request.get('if-range')
  const isCurrent = ifRange === undefined || ifRange === etag
  // Only GET has ranges [RFC 9110, 14.2]. If the client has a part of another object, it needs the whole one.
  const range = request.method === 'GET' && isCurrent ? readRange(request.get('range'), bytes) : 'whole'
  if (range === 'unsatisfiable')
    throw problem('range_not_satisfiable', `The recording has ${bytes} bytes`, { 'Content-Range': `bytes */${bytes}` })
  const { first, last } = range === 'whole' ? { first: 0, last: bytes - 1 } : range
  const headers = {
    'Content-Type': typeOf(recording),
    'Content-Disposition': `${kind === 'download' ? 'attachment' : 'inline'}; filename="${fileNameOf(recording)}"`,
    'Content-Length': String(last - first + 1),
    'Accept-Ranges': 'bytes',
    ETag: etag,
    ...(range !== 'whole' && { 'Content-Range': `bytes ${first}-${last}/${bytes}` }),
  }
  const aborting = new AbortController()
  response.once('close', () => aborting.abort())
  if (request.method === 'HEAD') {
    await deps.streams.assertExists(recording, bytes, aborting.signal).catch((error: unknown) => fail(deps, error, recording))
    return void response.status(200).set(headers).end()
  }
  const body = await deps.streams.read(recording, bytes, { first, last }, aborting.signal).catch((error: unknown) => {
    return aborting.signal.aborted ? undefined : fail(deps, error, recording)
  })
  if (!body) return // the client has disconnected
  response.status(range === 'whole' ? 200 : 206).set(headers)
  await pipeline(body, response).catch(() => {
    // The client has disconnected, or S3 has. A client that gets fewer bytes than announced requests the rest.
    response.destroy()
  })
}

function typeOf({ contentType }: StoredRecording): string {
  return contentType !== null && AUDIO_TYPE.test(contentType) ? contentType : 'application/octet-stream'
}

/** Consists of the CallSid and the extension of the object, which are checked patterns. */
function fileNameOf({ callSid, objectKey }: StoredRecording): string {
  return `${callSid}.${readObjectKey(objectKey)?.extension ?? 'bin'}`
}

function fail({ logger }: PlayRoutesDependencies, error: unknown, { callSid }: StoredRecording): never {
  if (error instanceof ObjectGone) {
    logger.error({ callSid, reason: error.message }, 'Recording cannot be listened to')
    throw problem(
      'object_missing',
      'The object of the recording is not in the bucket as it was stored: the next object check downloads it again',
    )
  }
  if (error instanceof StreamsBusy) throw problem('busy', 'Too many recordings are being listened to', RETRY_SOON)
  const { reason } = classifyStoreError(error)
  logger.error({ callSid, reason }, 'Recording cannot be read from S3')
  throw problem('storage_unavailable', 'S3 does not return the recording: please try again', RETRY_AFTER_OUTAGE)
}
