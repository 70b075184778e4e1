// The stream of changed calls, on a real API process.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { freePort } from '../../dev/ports.ts'
import { get, loggedIn, post } from '../support/accounts.ts'
import { startBackend, type Backend } from '../support/backend.ts'
import { eventually } from '../support/eventually.ts'
import { colleague, giveRole } from '../support/roles.ts'
import { newCallSid } from '../support/servers.ts'
import { postWebhook } from '../support/webhook.ts'

const PATH = '/api/operations/changes'

let backend: Backend
let operationsPort: number
beforeAll(async () => {
  operationsPort = await freePort(0)
  backend = await startBackend({ start: [], env: { RATE_LIMIT_GENERAL: '10000' } })
  await backend.start('api', { OPERATIONS_PORT: String(operationsPort) })
})
afterAll(() => backend?.stop())

interface Stream {
  /** What has arrived so far. */
  text(): string
  ended(): boolean
  close(): void
}

async function openStream(auth: { authorization: string }, { path = PATH, headers = {} } = {}): Promise<Stream & { response: Response }> {
  const leave = new AbortController()
  const response = await fetch(backend.apiUrl + path, { headers: { ...auth, ...headers }, signal: leave.signal })
  let [text, isEnded] = ['', false]
  const read = async (): Promise<void> => {
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) text += chunk
  }
  void read()
    .catch(() => {})
    .finally(() => (isEnded = true))
  return { response, text: () => text, ended: () => isEnded, close: () => leave.abort() }
}

/** Sends events until the stream names one of their calls. @returns the id of the event that names it */
async function nextEvent(stream: Stream): Promise<string> {
  const sent: string[] = []
  return eventually('an event for a webhook', async () => {
    const callSid = newCallSid()
    sent.push(callSid)
    await postWebhook(backend.apiUrl, 'call-start', { CallSid: callSid })
    const events = [...stream.text().matchAll(/id: (\d+\.\d+)\nevent: calls\ndata: (.*)\n\n/g)]
    return events.find(([, , data]) => sent.some((each) => data!.includes(each)))?.[1]
  })
}

async function openStreams(): Promise<number> {
  const metrics = await (await fetch(`http://127.0.0.1:${operationsPort}/metrics`)).text()
  return Number(/^caly_change_streams (\d+)/m.exec(metrics)![1])
}

test('When a webhook arrives, then a viewer is told about its call, and nothing of the call but its CallSid', async () => {
  const stream = await openStream((await colleague(backend, 'viewer')).headers)
  expect(stream.response.headers.get('content-type')).toMatch(/^text\/event-stream/)
  expect(stream.response.headers.get('x-accel-buffering')).toBe('no')
  await eventually('the first bytes', async () => stream.text().startsWith('retry: 3000\n'))
  await nextEvent(stream)
  const data = /data: (.*)/.exec(stream.text())![1]!
  expect(Object.keys(JSON.parse(data) as object)).toEqual(['callSids'])
  stream.close()
})

test('When a client reconnects with the id of the last event, then it gets what it missed', async () => {
  const { headers: viewer } = await colleague(backend, 'viewer')
  const first = await openStream(viewer)
  const id = await nextEvent(first)
  first.close()
  const missed = newCallSid()
  await postWebhook(backend.apiUrl, 'call-start', { CallSid: missed })
  for (const options of [{ headers: { 'last-event-id': id } }, { path: `${PATH}?from=${id}` }]) {
    const again = await openStream(viewer, options)
    await eventually('the missed call', async () => again.text().includes(missed))
    again.close()
  }
})

test('When the session ends, then its stream ends', async () => {
  const { person } = await colleague(backend, 'viewer')
  const { accessToken, refreshToken } = await loggedIn(backend.apiUrl, person)
  const stream = await openStream({ authorization: `Bearer ${accessToken}` })
  await nextEvent(stream)
  expect((await post(backend.apiUrl, '/api/auth/logout', { refreshToken })).status).toBe(204)
  await eventually('the stream to end', async () => stream.ended())
})

test('When the role is lost, then the stream ends', async () => {
  const { person, headers } = await colleague(backend, 'viewer')
  const stream = await openStream(headers)
  await nextEvent(stream)
  await giveRole(backend, person, 'user')
  await eventually('the stream to end', async () => stream.ended())
})

test('When a session opens an eleventh stream, then its oldest one ends; the streams of others stay', async () => {
  const other = await openStream((await colleague(backend, 'operator')).headers)
  const { headers: viewer } = await colleague(backend, 'viewer')
  const streams: (Stream & { response: Response })[] = []
  for (let count = 0; count < 11; count += 1) streams.push(await openStream(viewer))
  await eventually('the oldest stream to end', async () => streams[0]!.ended())
  await nextEvent(streams[10]!)
  expect(streams.slice(1).map((stream) => stream.ended())).toEqual(Array.from({ length: 10 }, () => false))
  expect(other.ended()).toBe(false)
  for (const stream of [other, ...streams]) stream.close()
})

test('When clients disconnect, then nothing of their streams is left', async () => {
  const { headers: viewer } = await colleague(backend, 'viewer')
  const streams = await Promise.all(Array.from({ length: 5 }, () => openStream(viewer)))
  await eventually('five streams', async () => (await openStreams()) === 5)
  for (const stream of streams) stream.close()
  await eventually('no stream', async () => (await openStreams()) === 0)
})

test('When the caller may not see calls, or names no position, then there is no stream', async () => {
  const user = await colleague(backend, 'user')
  expect(await get(backend.apiUrl, PATH, user.headers)).toMatchObject({ status: 403, body: { code: 'role_required' } })
  expect(await get(backend.apiUrl, PATH)).toMatchObject({ status: 401 })
  const { headers: viewer } = await colleague(backend, 'viewer')
  for (const from of ['x', '1', '-1.2', '1.2.3', "1.2' OR 1", '9'.repeat(19) + '.1'])
    expect(await get(backend.apiUrl, `${PATH}?from=${encodeURIComponent(from)}`, viewer)).toMatchObject({ status: 422 })
  expect((await fetch(backend.apiUrl + PATH, { method: 'HEAD', headers: viewer })).status).toBe(200)
})

test('When the API is stopped, then it does not wait for open streams', async () => {
  const stream = await openStream((await colleague(backend, 'viewer')).headers)
  await nextEvent(stream)
  expect(await backend.end('api', 'SIGTERM')).toBe(0)
  await eventually('the stream to end', async () => stream.ended())
})
