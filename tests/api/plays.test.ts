// Listening to a recording: the link, its owner, and the bytes behind it.
import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { request } from 'node:http'
import { get, post } from '../support/accounts.ts'
import { startBackend, type Backend } from '../support/backend.ts'
import { startFaultyS3, type FaultyS3 } from '../support/faulty-s3.ts'
import { eventually } from '../support/eventually.ts'
import { colleague, giveRole, type Colleague } from '../support/roles.ts'
import { newCallSid } from '../support/servers.ts'

interface Play {
  url: string
  expiresAt: string
  bytes: number
  contentType: string
}

let s3: FaultyS3
let backend: Backend
let operator: Colleague
beforeAll(async () => {
  s3 = await startFaultyS3()
  backend = await startBackend({ start: ['api'], env: { WASABI_ENDPOINT: s3.url } })
  operator = await colleague(backend, 'operator')
})
afterEach(() => s3?.reset())
afterAll(async () => {
  await backend?.stop()
  await s3?.close()
})

const CONTENT = randomBytes(1000)

interface Stored {
  callSid: string
  id: string
  key: string
  bytes: Buffer
}

/** Inserts a stored recording, and puts its object into the bucket. */
async function stored(bytes = CONTENT, row: { bytes?: string; contentType?: string; state?: string } = {}): Promise<Stored> {
  const callSid = newCallSid()
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const key = `recordings/2026/11/29/${callSid}-${sha256.slice(0, 12)}.mp3`
  await backend.bucket.client.send(new PutObjectCommand({ Bucket: backend.bucket.name, Key: key, Body: bytes }))
  await backend.database.query(`INSERT INTO calls (call_sid, recording_state, recording_url) VALUES ($1, 'stored', 'https://s3.test/x')`, [
    callSid,
  ])
  const { rows } = await backend.database.query<{ id: string }>(
    `INSERT INTO recordings (call_sid, source_url, state, bucket, object_key, bytes, sha256, content_type)
     VALUES ($1, 'https://recordings.exotel.com/a/1.mp3', $2, $3, $4, $5, $6, $7) RETURNING id`,
    [callSid, row.state ?? 'stored', backend.bucket.name, key, row.bytes ?? bytes.length, sha256, row.contentType ?? 'audio/mpeg'],
  )
  return { callSid, id: rows[0]!.id, key, bytes }
}

const play = ({ callSid, id }: Pick<Stored, 'callSid' | 'id'>, kind = 'play', { headers }: Colleague = operator) =>
  post<Play>(backend.apiUrl, `/api/calls/${callSid}/recordings/${id}/plays`, { kind }, headers)
const linkTo = async (recording: Stored, kind?: string): Promise<string> => backend.apiUrl + (await play(recording, kind)).body.url
const accessesOf = async ({ callSid }: Stored) =>
  (await backend.database.query('SELECT kind, user_email FROM recording_accesses WHERE call_sid = $1 ORDER BY id', [callSid])).rows

/** @returns status, headers and bytes of a request for a part */
async function part(url: string, headers: Record<string, string>, method = 'GET') {
  const response = await fetch(url, { headers, method })
  return { status: response.status, headers: response.headers, bytes: Buffer.from(await response.arrayBuffer()) }
}

test('When an operator plays a recording, then the link serves it without a token, and all its requests are one access', async () => {
  const recording = await stored()
  const { status, body } = await play(recording)
  expect([status, body]).toEqual([201, expect.objectContaining({ bytes: 1000, contentType: 'audio/mpeg' })])
  expect(Date.parse(body.expiresAt)).toBeGreaterThan(Date.now() + 4 * 3600_000) // a pause during the longest call
  expect(body.url).not.toContain(operator.headers.authorization.split(' ')[1])
  expect(await accessesOf(recording)).toEqual([{ kind: 'play', user_email: operator.person.email }])

  const whole = await part(backend.apiUrl + body.url, {})
  expect([whole.status, whole.bytes.equals(CONTENT)]).toEqual([200, true])
  expect(Object.fromEntries(whole.headers)).toMatchObject({
    'content-type': 'audio/mpeg',
    'content-length': '1000',
    'accept-ranges': 'bytes',
    'content-disposition': `inline; filename="${recording.callSid}.mp3"`,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  })
  for (const range of ['bytes=0-1', 'bytes=500-', 'bytes=-10']) await part(backend.apiUrl + body.url, { range })
  expect(await accessesOf(recording)).toHaveLength(1)
  const { body: history } = await get<{ accesses: object[] }>(backend.apiUrl, `/api/calls/${recording.callSid}`, operator.headers)
  expect(history.accesses).toEqual([expect.objectContaining({ kind: 'play', recordingId: recording.id, userEmail: operator.person.email })])
})

describe('When a part is requested,', () => {
  test.each([
    ['bytes=0-1', 'bytes 0-1/1000', [0, 2]],
    ['bytes=990-', 'bytes 990-999/1000', [990, 1000]],
    ['bytes=-500', 'bytes 500-999/1000', [500, 1000]],
    ['bytes=999-99999', 'bytes 999-999/1000', [999, 1000]],
  ])('%s, then exactly these bytes are sent', async (range, contentRange, [from, to]) => {
    const answer = await part(await linkTo(await stored()), { range })
    expect([answer.status, answer.headers.get('content-range'), answer.headers.get('content-length')]).toEqual([
      206,
      contentRange,
      String(to! - from!),
    ])
    expect(answer.bytes.equals(CONTENT.subarray(from, to))).toBe(true)
  })

  test.each(['abc', 'bytes=0-1,5-6', 'bytes=5-4'])('%s, then the whole is sent', async (range) => {
    const answer = await part(await linkTo(await stored()), { range })
    expect([answer.status, answer.headers.get('content-range'), answer.bytes.equals(CONTENT)]).toEqual([200, null, true])
  })

  test.each(['bytes=1000-', 'bytes=-0', 'bytes=99999999999999999999-'])('%s, then the answer is 416 with the size', async (range) => {
    const response = await fetch(await linkTo(await stored()), { headers: { range } })
    expect([response.status, response.headers.get('content-range')]).toEqual([416, 'bytes */1000'])
    expect(await response.json()).toMatchObject({ code: 'range_not_satisfiable' })
  })

  test('and the client has a part of another object, then the whole is sent', async () => {
    const link = await linkTo(await stored())
    const { headers } = await part(link, {}, 'HEAD')
    const etag = headers.get('etag')!
    expect((await part(link, { range: 'bytes=0-1', 'if-range': etag })).status).toBe(206)
    expect((await part(link, { range: 'bytes=0-1', 'if-range': '"other"' })).status).toBe(200)
  })

  test('with HEAD, then only the headers of the whole are sent', async () => {
    const answer = await part(await linkTo(await stored()), { range: 'bytes=0-1' }, 'HEAD')
    expect([answer.status, answer.headers.get('content-length'), answer.bytes.length]).toEqual([200, '1000', 0])
  })
})

test('When a recording is downloaded, then the browser saves it under a safe name, whatever its row contains', async () => {
  const recording = await stored(CONTENT, { contentType: 'text/html' })
  await backend.database.query(`UPDATE recordings SET object_key = $2 WHERE id = $1`, [recording.id, `x";\r\nset-cookie: a=b; .html`])
  const named = await fetch(await linkTo(recording, 'download'))
  expect(named.status).toBe(404) // there is no such object
  await backend.database.query(`UPDATE recordings SET object_key = $2 WHERE id = $1`, [recording.id, recording.key])
  const { headers } = await part(await linkTo(recording, 'download'), {})
  expect(headers.get('content-disposition')).toBe(`attachment; filename="${recording.callSid}.mp3"`)
  expect(headers.get('content-type')).toBe('application/octet-stream')
  expect((await accessesOf(recording)).map(({ kind }) => kind)).toEqual(['download', 'download'])
})

describe('When somebody may not listen,', () => {
  test('then a viewer gets no link, and no access is recorded', async () => {
    const recording = await stored()
    const viewer = await colleague(backend, 'viewer')
    expect(await play(recording, 'play', viewer)).toMatchObject({ status: 403, body: { code: 'role_required' } })
    expect(await accessesOf(recording)).toEqual([])
  })

  test('then links of a lost role or an ended session serve nothing at once', async () => {
    const recording = await stored()
    const person = await colleague(backend, 'operator')
    const link = backend.apiUrl + (await play(recording, 'play', person)).body.url
    await giveRole(backend, person.person, 'viewer')
    expect((await part(link, {})).status).toBe(403)
    await giveRole(backend, person.person, 'operator')
    expect((await part(link, {})).status).toBe(200)
    await post(backend.apiUrl, '/api/auth/logout-all', '', person.headers)
    expect((await part(link, {})).status).toBe(403)
  })

  test('then unknown and expired links get the same answer', async () => {
    const link = await linkTo(await stored())
    await backend.database.query(`UPDATE recording_accesses SET expires_at = now() WHERE id = (SELECT max(id) FROM recording_accesses)`)
    for (const url of [link, `${backend.apiUrl}/api/plays/${randomBytes(32).toString('base64url')}`, `${backend.apiUrl}/api/plays/x`])
      expect(await get(url, '')).toMatchObject({
        status: 403,
        body: { code: 'play_link_invalid', detail: 'Open the call again to get a new link' },
      })
  })
})

describe('When there is nothing to listen to, then the answer says why:', () => {
  test('the recording belongs to another call', async () => {
    const [one, other] = [await stored(), await stored()]
    expect(await play({ callSid: one.callSid, id: other.id })).toMatchObject({ status: 404, body: { code: 'not_found' } })
    for (const id of ['0', 'x', '-1', '99999999999999999999']) expect((await play({ callSid: one.callSid, id })).status).toBe(404)
  })

  test('it is not stored, or erased', async () => {
    const [waiting, erased] = [await stored(CONTENT, { state: 'awaiting' }), await stored()]
    await backend.database.query(`UPDATE calls SET recording_state = 'erased', recording_url = NULL WHERE call_sid = $1`, [erased.callSid])
    expect(await play(waiting)).toMatchObject({
      status: 409,
      body: { code: 'action_refused', detail: expect.stringContaining('awaiting') },
    })
    expect(await play(erased)).toMatchObject({ status: 409, body: { code: 'action_refused', detail: expect.stringContaining('erased') } })
    expect(await accessesOf(erased)).toEqual([])
  })

  test('its row claims more bytes than numbers can count', async () => {
    expect(await play(await stored(CONTENT, { bytes: '9007199254740993' }))).toMatchObject({
      status: 409,
      body: { code: 'action_refused' },
    })
  })

  test('the object is missing, or has another size', async () => {
    const [missing, longer] = [await stored(), await stored(CONTENT, { bytes: '3221225472' })]
    const links = [await linkTo(missing), await linkTo(longer)]
    await backend.bucket.client.send(new DeleteObjectCommand({ Bucket: backend.bucket.name, Key: missing.key }))
    for (const link of links) {
      expect(await get(link, '')).toMatchObject({ status: 404, body: { code: 'object_missing' } })
      expect((await part(link, { range: 'bytes=5-6' })).status).toBe(404)
      expect((await part(link, {}, 'HEAD')).status).toBe(404)
    }
  })

  test.each([{ status: 503, code: 'SlowDown' }, { status: 403, code: 'AccessDenied' }, { status: 500 }])('S3 answers %j', async (fault) => {
    const link = await linkTo(await stored())
    s3.always('GET', /recordings/, fault)
    const answer = await get(link, '')
    expect(answer).toMatchObject({ status: 503, body: { code: 'storage_unavailable' } })
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
    s3.reset()
    expect((await part(link, {})).status).toBe(200)
  })
})

test('When 60 plays of a large recording are aborted after the headers, then further ones are served', async () => {
  const large = await stored(Buffer.alloc(20 * 1024 ** 2, 1))
  const link = new URL(await linkTo(large))
  const abort = async (): Promise<void> => {
    const outgoing = request(link).end()
    const [response] = (await once(outgoing, 'response')) as [{ statusCode: number }]
    expect([200, 503]).toContain(response.statusCode) // busy: more at the same time than one process serves
    outgoing.destroy()
  }
  await Promise.all(Array.from({ length: 60 }, abort))
  await eventually('a play to be served again', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => part(link.href, { range: 'bytes=0-9' })))
    return answers.every(({ status }) => status === 206)
  })
  for (let n = 0; n < 60; n += 1) await abort()
  expect((await part(link.href, {})).bytes.length).toBe(large.bytes.length)
})
