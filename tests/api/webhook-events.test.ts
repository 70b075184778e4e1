// What the rows of events, calls and recordings contain after webhooks were accepted.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { WEBHOOK_SECRET, startBackend, type Backend } from '../support/backend.ts'
import { newCallSid } from '../support/servers.ts'
import { postRaw, postWebhook } from '../support/webhook.ts'

const BASIC = 'exotel:pass word'
let backend: Backend
beforeAll(async () => {
  backend = await startBackend({
    start: ['api'],
    env: { EXOTEL_WEBHOOK_SECRET: `old-secret,${WEBHOOK_SECRET}`, EXOTEL_WEBHOOK_BASIC: BASIC, EXOTEL_WEBHOOK_TOKEN: 'to/ken' },
  })
})
afterAll(() => backend?.stop())

async function eventRows(callSid: string) {
  return (await backend.database.query('SELECT * FROM webhook_events WHERE call_sid = $1 ORDER BY id', [callSid])).rows as Record<
    string,
    unknown
  >[]
}

test('When a signed body is not text, then the response is never 500', async () => {
  for (const body of [Buffer.from([0xff, 0xfe, 0x00, 0x80]), Buffer.from('CallSid=\xff%ff%00&a=%E0%A4', 'latin1'), Buffer.from([0])]) {
    for (const type of ['application/json', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=B', 'x/y']) {
      expect((await postRaw(backend.apiUrl, 'call-end', body, { 'content-type': type })).status).toBe(400)
    }
  }
  const callSid = newCallSid()
  const body = Buffer.concat([Buffer.from(`{"CallSid":"${callSid}","CustomField":"`), Buffer.from([0xff, 0xfe]), Buffer.from('\\u0000"}')])
  expect((await postRaw(backend.apiUrl, 'call-start', body, { 'content-type': 'application/json' })).status).toBe(200)
  expect(await eventRows(callSid)).toMatchObject([{ raw_body: body, fields: { CustomField: '\uFFFD\uFFFD\uFFFD' } }])
})

test('When a delivery is repeated, even with another content type, then it is the same event', async () => {
  const callSid = newCallSid()
  const fields = { CallSid: callSid, Status: 'in-progress', Legs: [{ Status: 'x' }] }
  expect(await (await postWebhook(backend.apiUrl, 'call-start', { ...fields, CurrentTime: '1' })).json()).toMatchObject({
    duplicate: false,
  })
  const form = `Legs[0][Status]=x&CallSid=${callSid}&Status=in-progress&CurrentTime=2`
  const repeated = await postRaw(backend.apiUrl, 'call-start', form, { 'content-type': 'application/x-www-form-urlencoded' })
  expect(await repeated.json()).toEqual({ status: 'accepted', callSid, duplicate: true })
  const many = await Promise.all(
    Array.from({ length: 10 }, () =>
      postWebhook(backend.apiUrl, 'call-end', fields).then(async (each) => (await each.json()) as { duplicate: boolean }),
    ),
  )
  expect(many.filter(({ duplicate }) => !duplicate)).toHaveLength(1)
  expect(await eventRows(callSid)).toHaveLength(2)
})

test('When a delivery has unknown fields, then they are stored', async () => {
  const callSid = newCallSid()
  await postWebhook(backend.apiUrl, 'call-start', { CallSid: callSid, Novelty: { deep: ['1', '2'] }, ['constructor']: 'x' })
  expect(await eventRows(callSid)).toMatchObject([{ fields: { Novelty: { deep: ['1', '2'] } }, source: 'exotel', route: 'call-start' }])
})

describe('When the Passthru applet sends a GET', () => {
  const basic = { authorization: `Basic ${Buffer.from(BASIC).toString('base64')}` }

  test('then it needs a password or a token, and the token is not stored or logged', async () => {
    const callSid = newCallSid()
    const query = `CallSid=${callSid}&CallStatus=in-progress&Stream[Status]=ok&digits=%22123%22&CallFrom=09876543210`
    expect((await fetch(`${backend.apiUrl}/webhooks/exotel/call-start?${query}`)).status).toBe(401)
    const response = await fetch(`${backend.apiUrl}/webhooks/exotel/call-start?${query}&token=to%2Fken`)
    expect(response.status).toBe(200)
    expect(await response.json()).toEqual({ status: 'accepted', callSid, duplicate: false })
    const again = await fetch(`${backend.apiUrl}/webhooks/exotel/call-start?${query}`, { headers: basic })
    expect(await again.json()).toMatchObject({ duplicate: true })
    const [event] = await eventRows(callSid)
    expect(event).toMatchObject({ fields: { Stream: { Status: 'ok' }, digits: '"123"' } })
    expect(String(event!.raw_body)).not.toContain('ken')
    expect(backend.logs('api')).not.toContain('ken&')
  })

  test('then call-end ends the call whatever its status, and a later status is stored', async () => {
    const callSid = newCallSid()
    const get = (route: string, query: string) =>
      fetch(`${backend.apiUrl}/webhooks/exotel/${route}?CallSid=${callSid}&${query}`, { headers: basic })
    await get('call-start', 'CallStatus=ringing')
    await get('call-start', 'EventType=Dial&Status=busy&DialWhomNumber=09811111111')
    expect(await backend.callRow(callSid)).toMatchObject({ status: 'ringing', recording_state: 'none' })
    await get('call-end', 'CallStatus=in-progress')
    expect(await backend.callRow(callSid)).toMatchObject({ status: 'in-progress', recording_state: 'awaiting' })
    await get('call-end', 'CallType=completed&EndTime=1970-01-01%2005:30:00')
    expect(await backend.callRow(callSid)).toMatchObject({ status: 'completed', recording_state: 'awaiting', ended_at: null })
  })
})

test('When the name of the token is percent-encoded, then the token is not stored either', async () => {
  const callSid = newCallSid()
  expect((await fetch(`${backend.apiUrl}/webhooks/exotel/call-start?CallSid=${callSid}&%74oken=to%2Fken`)).status).toBe(200)
  expect(String((await eventRows(callSid))[0]!.raw_body)).toBe(`CallSid=${callSid}`)
})

test('When the signed body of a call-start is sent again to call-end, then the run starts, and the call keeps its status', async () => {
  const CallSid = newCallSid()
  const body = JSON.stringify({ CallSid, Status: 'in-progress' })
  for (const route of ['call-start', 'call-end'] as const) {
    expect((await postRaw(backend.apiUrl, route, body, { 'content-type': 'application/json' })).status).toBe(200)
  }
  expect(await eventRows(CallSid)).toMatchObject([
    { route: 'call-start', relay_state: 'none' },
    { route: 'call-end', relay_state: expect.stringMatching(/pending|started/) },
  ])
  expect(await backend.callRow(CallSid)).toMatchObject({ status: 'in-progress', recording_state: 'awaiting' })
})

test('When statuses arrive out of order, then the status of the call never goes back, and absent fields change nothing', async () => {
  const callSid = newCallSid()
  const link = 'https://recordings.exotel.com/a/1.mp3'
  const send = (route: 'call-start' | 'call-end' | 'recording', fields: object) =>
    postWebhook(backend.apiUrl, route, { CallSid: callSid, ...fields })
  await send('recording', { RecordingUrl: link, Status: 'completed' })
  await send('call-end', { Status: 'completed', DateUpdated: '2026-11-25 12:00:00', ConversationDuration: '61', AccountSid: 'acc' })
  await send('call-start', { Status: 'in-progress', From: '09876543210' })
  await send('call-end', { Status: 'no-answer', DateUpdated: '2026-11-25 11:59:00' })
  await send('call-end', { Status: 'completed' })
  expect(await backend.callRow(callSid)).toMatchObject({
    status: 'completed',
    duration_seconds: 61,
    account_sid: 'acc',
    recording_state: 'awaiting',
  })
  expect(await backend.recordingRows(callSid)).toMatchObject([{ source_url: link, state: 'awaiting' }])
  expect((await eventRows(callSid)).map(({ route }) => route)).toEqual(['recording', 'call-end', 'call-start', 'call-end', 'call-end'])
})

test('When a link has a query, then the query is stored only in fetch_url', async () => {
  const callSid = newCallSid()
  await postWebhook(backend.apiUrl, 'recording', { CallSid: callSid, RecordingUrl: 'https://s.exotel.com/1.mp3?Signature=s3cr3t' })
  const { rows } = await backend.database.query('SELECT source_url, fetch_url FROM recordings WHERE call_sid = $1', [callSid])
  expect(rows).toEqual([{ source_url: 'https://s.exotel.com/1.mp3', fetch_url: 'https://s.exotel.com/1.mp3?Signature=s3cr3t' }])
  expect((await eventRows(callSid))[0]).toMatchObject({ source_urls: ['https://s.exotel.com/1.mp3'] })
  expect(backend.logs('api')).not.toContain('s3cr3t')
})

test('When clients send control characters and markup, then no log line is forged, and no phone number or secret is logged', async () => {
  const callSid = newCallSid()
  const evil = '\r\n{"level":60,"msg":"forged"}\u001b[2J<img src=x onerror=alert(1)>'
  await postWebhook(backend.apiUrl, 'call-end', {
    CallSid: callSid,
    CustomField: evil,
    From: '09876543210',
    To: '+919812345678',
    Status: evil,
  })
  await postWebhook(backend.apiUrl, 'call-end', { CallSid: evil })
  const response = await fetch(`${backend.apiUrl}/health/ready`, {
    headers: { 'x-request-id': '"><script>', 'user-agent': '+919812345678' },
  })
  expect(response.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/)
  const logs = backend.logs('api')
  expect(logs).not.toMatch(/forged|onerror|9876543210|9812345678|webhook-secret/)
  for (const line of logs.split('\n').filter((each) => each.startsWith('{'))) expect(() => JSON.parse(line)).not.toThrow()
})
