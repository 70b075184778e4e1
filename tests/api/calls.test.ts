// The operations that list calls and show one: who may use them, and what they answer.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { bearer, get, loggedIn, registered, post } from '../support/accounts.ts'
import { startBackend, type Backend } from '../support/backend.ts'
import { colleague, giveRole, type Colleague } from '../support/roles.ts'
import { newCallSid } from '../support/servers.ts'
import { postWebhook } from '../support/webhook.ts'

interface Page {
  calls: Record<string, unknown>[]
  next: string | null
}

let backend: Backend
let viewer: Colleague
let operator: Colleague
beforeAll(async () => {
  backend = await startBackend({ start: ['api'], env: { TEMPORAL_UI_URL: 'https://temporal.example.com/ui' } })
  ;[viewer, operator] = await Promise.all([colleague(backend, 'viewer'), colleague(backend, 'operator')])
})
afterAll(() => backend?.stop())

const list = (query: string, { headers }: Colleague = operator) => get<Page>(backend.apiUrl, `/api/calls${query}`, headers)
const show = (callSid: string, { headers }: Colleague = operator) => get(backend.apiUrl, `/api/calls/${callSid}`, headers)

/** Sends the end of an outbound call of an agent. */
async function endedCall(fields: object = {}): Promise<string> {
  const callSid = newCallSid()
  const parties = { Direction: 'outbound-api', From: '09811111111', To: '09876543210', PhoneNumberSid: '08045678901' }
  await postWebhook(backend.apiUrl, 'call-end', {
    CallSid: callSid,
    Status: 'completed',
    ConversationDuration: '73',
    ...parties,
    ...fields,
  })
  return callSid
}

describe('When somebody without the right requests calls, then the answer is', () => {
  test('401 without a token', async () => {
    for (const path of ['/api/calls', '/api/calls/x', '/api/operations/overview', '/api/operations/accounts'])
      expect(await get(backend.apiUrl, path)).toMatchObject({ status: 401, body: { code: 'not_authenticated' } })
  })

  test('403 for the role user, which every new account has', async () => {
    const { accessToken } = await loggedIn(backend.apiUrl, await registered(backend))
    for (const path of ['/api/calls', '/api/calls/x', '/api/operations/overview', '/api/operations/processes', '/api/operations/actions'])
      expect(await get(backend.apiUrl, path, bearer(accessToken))).toMatchObject({ status: 403, body: { code: 'role_required' } })
  })

  test('403 with the next request after the role was taken away, and 401 after the session has ended', async () => {
    const person = await colleague(backend, 'operator')
    expect((await list('', person)).status).toBe(200)
    await giveRole(backend, person.person, 'user')
    expect((await list('', person)).status).toBe(403)
    await giveRole(backend, person.person, 'viewer')
    expect((await list('', person)).status).toBe(200)
    await post(backend.apiUrl, '/api/auth/logout-all', '', person.headers)
    expect((await list('', person)).status).toBe(401)
  })

  test('403 for a viewer who searches a number, because the numbers are masked', async () => {
    for (const query of ['?phone=3210', '?agent=09811111111'])
      expect(await list(query, viewer)).toMatchObject({ status: 403, body: { code: 'role_required' } })
  })
})

test('When a call is listed and shown, then operators see its numbers, and viewers do not', async () => {
  const callSid = await endedCall({ CustomField: 'for 09876543210' })
  const numbers = {
    from: '09811111111',
    to: '09876543210',
    agent: '+919811111111',
    exophone: '+918045678901',
    customField: 'for 09876543210',
  }
  const masked = {
    from: '*******1111',
    to: '*******3210',
    agent: '+********1111',
    exophone: '+918045678901',
    customField: 'for *******3210',
  }
  for (const [person, expected] of [
    [operator, numbers],
    [viewer, masked],
  ] as const) {
    const { body } = await list(`?callSid=${callSid}`, person)
    expect(body.calls).toEqual([
      expect.objectContaining({ callSid, status: 'completed', durationSeconds: 73, state: 'awaiting', ...expected }),
    ])
    expect((await show(callSid, person)).body.call).toMatchObject({ callSid, ...expected })
  }
  expect(JSON.stringify((await show(callSid, viewer)).body)).not.toContain('9876543210')
})

test('When operators search a number in any spelling or by its last digits, then they find its calls', async () => {
  const callSid = await endedCall({ To: '+1 (415) 555-2671' })
  for (const phone of ['+14155552671', '0014155552671', '1 415 555 2671', '2671', '5552671'])
    expect((await list(`?phone=${encodeURIComponent(phone)}`)).body.calls.map((call) => call.callSid)).toEqual([callSid])
  expect((await list('?phone=2672')).body.calls).toEqual([])
})

describe('When the query is nonsense, then the answer names the parameter:', () => {
  test.each([
    ['state=lost', 'state'],
    ['state=failed&state=stored', 'state'],
    ['state=', 'state'],
    ['errorCode=1%27', 'errorCode'],
    ['from=yesterday', 'from'],
    ['from=2026-11-02T00:00:00Z&to=2026-11-01T00:00:00Z', 'to'],
    ['minSeconds=-1', 'minSeconds'],
    ['minSeconds=9&maxSeconds=8', 'maxSeconds'],
    ['maxSeconds=1e3', 'maxSeconds'],
    ['phone=', 'phone'],
    ['phone=321', 'phone'],
    ['phone=%2B', 'phone'],
    ['phone=letters', 'phone'],
    ['callSid=../x', 'callSid'],
    ['limit=0', 'limit'],
    ['limit=1000', 'limit'],
    ['order=random', 'order'],
    ['__proto__=x', '__proto__'],
  ])('%s', async (query, field) => {
    const { status, body } = await list(`?${query}`)
    expect([status, body]).toEqual([422, expect.objectContaining({ code: 'invalid_fields' })])
    expect((body as unknown as { errors: { field: string }[] }).errors.map((each) => each.field)).toContain(field)
  })
})

describe('When the list has several pages,', () => {
  test('then their cursors lead to each call once, and the last page has none', async () => {
    const customField = `pages ${newCallSid()}`
    const made = []
    for (let n = 0; n < 5; n += 1) made.push(await endedCall({ CustomField: customField }))
    const query = `?limit=2&customField=${encodeURIComponent(customField)}`
    const first = (await list(query)).body
    const second = (await list(`${query}&cursor=${first.next}`)).body
    const third = (await list(`${query}&cursor=${second.next}`)).body
    expect([first, second, third].map(({ calls }) => calls.length)).toEqual([2, 2, 1])
    expect(third.next).toBeNull()
    expect([first, second, third].flatMap(({ calls }) => calls.map(({ callSid }) => callSid)).toSorted()).toEqual(made.toSorted())
  })

  test('then a cursor that was changed, or that belongs to other filters, is rejected', async () => {
    await Promise.all([endedCall(), endedCall()])
    const { next } = (await list('?limit=1&direction=outbound')).body
    const [kid, position, signature] = next!.split('.') as [string, string, string]
    const forged = Buffer.from(`${Date.now()} x`).toString('base64url')
    const changed = [
      `${kid}.${forged}.${signature}`,
      `${kid}.${position}.x`,
      `${kid}.${position}`,
      `x.${position}.${signature}`,
      `${next}.x`,
      '',
      'x',
    ]
    for (const query of [...changed.map((cursor) => `?limit=1&direction=outbound&cursor=${cursor}`), `?limit=1&cursor=${next}`])
      expect(await list(query)).toMatchObject({ status: 422, body: { code: 'invalid_fields', errors: [{ field: 'cursor' }] } })
    expect((await list(`?limit=1&direction=outbound&cursor=${next}`)).status).toBe(200)
  })
})

test('When a call is shown, then its history has its events, conclusions, recordings, listeners and actions in their order', async () => {
  const callSid = await endedCall()
  const link = 'https://recordings.exotel.com/a/1.mp3'
  await postWebhook(backend.apiUrl, 'recording', { CallSid: callSid, RecordingUrl: `${link}?token=secret` })
  await backend.database.query(
    `INSERT INTO recording_attempts (call_sid, source_url, identity, state, error, error_code)
     VALUES ($1, $2, $1 || '1', 'failed', 'Exotel responded 503', 'ExotelUnavailable'), ($1, $2, $1 || '2', 'stored', NULL, NULL)`,
    [callSid, link],
  )
  await backend.database.query(
    `INSERT INTO operator_actions (action, user_email, call_sid, result, finished_at) VALUES ('retry', 'a@b.c', $1, 'done', now())`,
    [callSid],
  )
  const { status, body } = await show(callSid)
  expect(status).toBe(200)
  expect(body).toMatchObject({
    recordings: [{ sourceUrl: link, state: 'awaiting', bytes: null }],
    events: [
      { source: 'exotel', route: 'call-end', sourceUrls: [] },
      { source: 'exotel', route: 'recording', sourceUrls: [link] },
    ],
    attempts: [{ state: 'failed', errorCode: 'ExotelUnavailable' }, { state: 'stored' }],
    accesses: [],
    actions: [{ action: 'retry', result: 'done', userEmail: 'a@b.c' }],
    workflow: {
      id: `recording-${callSid}`,
      url: `https://temporal.example.com/ui/namespaces/${backend.env.TEMPORAL_NAMESPACE}/workflows/recording-${callSid}`,
    },
  })
  expect(JSON.stringify(body)).not.toContain('secret')
})

test('When a call is not known, then the answer is 404', async () => {
  for (const callSid of [newCallSid(), '%2e%2e', 'a%20b', 'x'.repeat(65)])
    expect(await show(callSid)).toMatchObject({ status: 404, body: { code: 'not_found' } })
})

test('When only HEAD is sent, then it is answered; other methods are not allowed', async () => {
  expect((await fetch(`${backend.apiUrl}/api/calls`, { method: 'HEAD', headers: operator.headers })).status).toBe(200)
  const deleted = await fetch(`${backend.apiUrl}/api/calls/x`, { method: 'DELETE', headers: operator.headers })
  expect([deleted.status, deleted.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
})
