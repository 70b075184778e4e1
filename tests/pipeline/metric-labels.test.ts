// Other systems store metrics for a long time, so metrics contain no CallSid, person, phone number or address.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { freePort } from '../../dev/ports.ts'
import { newPerson, post } from '../support/accounts.ts'
import { startBackend, type Backend } from '../support/backend.ts'
import { eventually } from '../support/eventually.ts'
import { sample } from '../support/samples.ts'
import { newCallSid } from '../support/servers.ts'
import { postRaw, postWebhook } from '../support/webhook.ts'

let backend: Backend
let urls: string[]
beforeAll(async () => {
  backend = await startBackend({ start: ['worker'] })
  const port = await freePort(0)
  await backend.start('api', { OPERATIONS_PORT: String(port) })
  urls = [`http://127.0.0.1:${port}/metrics`, backend.workerHealthUrl.replace(/health$/, 'metrics')]
})
afterAll(() => backend?.stop())

/** Ids, phone numbers, e-mail addresses and network addresses. */
const IDENTIFIES = /\d{5}|[0-9a-f]{8}-|[0-9a-f]{16}|@|\d+\.\d+\.\d+\.\d+|::/i

/** `name{label="value",…}` of all time series of both processes. */
async function series(): Promise<string[]> {
  const texts = await Promise.all(urls.map(async (url) => (await fetch(url)).text()))
  const lines = texts.flatMap((text) => text.split('\n')).filter((line) => line !== '' && !line.startsWith('#'))
  return lines.map((line) => line.slice(0, line.lastIndexOf(' ')))
}

/** Only our own metrics: those of Node depend on the open handles of a process. */
const ourSeries = async (): Promise<string[]> => (await series()).filter((each) => each.startsWith('caly_')).toSorted()

function labelValues(all: string[]): string[] {
  return all.flatMap((each) => [...each.matchAll(/="((?:[^"\\]|\\.)*)"/g)].map(([, value]) => value!))
}

/** Causes each kind of event that a metric counts, with different ids, numbers and addresses each time. @returns the CallSids */
async function traffic(): Promise<string[]> {
  const calls: string[] = []
  for (const name of ['short-vbr-id3.mp3', 'bad/random.mp3', 'bad/truncated.wav']) {
    const { call, told } = backend.simulator.call({ fault: 'none', recording: sample(name) })
    await told
    await backend.concluded(call.callSid)
    calls.push(call.callSid)
  }
  const callSid = newCallSid()
  const numbers = { From: '+919876543210', To: '08045678901' }
  await postWebhook(backend.apiUrl, 'call-start', { CallSid: callSid, Status: 'in-progress', ...numbers })
  await postWebhook(backend.apiUrl, 'call-start', { CallSid: 'not/usable', ...numbers })
  await postRaw(backend.apiUrl, 'call-end', JSON.stringify({ CallSid: callSid, ...numbers }), { 'x-exotel-signature': '0'.repeat(40) })
  await fetch(`${backend.apiUrl}/webhooks/exotel/call-end?CallSid=${callSid}`, { method: 'PUT' })
  await fetch(`${backend.apiUrl}/api/calls/${callSid}`)
  const { email, password } = newPerson()
  await post(backend.apiUrl, '/api/auth/login', { email, password })
  await post(backend.apiUrl, '/api/auth/register', { ...newPerson(), password })
  return [...calls, callSid]
}

test('When there was traffic of all kinds, then no label contains a CallSid, person, number or address, and more traffic adds no series', async () => {
  const callSids = await traffic()
  const before = await eventually('a mail to be sent', async () => {
    const all = await ourSeries()
    return all.some((each) => each.includes('caly_mails_total{result="sent"}')) && all
  })
  const values = labelValues(await series())
  expect(values.length).toBeGreaterThan(20)
  expect(before.join('\n')).toMatch(/caly_recordings_concluded_total\{state="stored"[^]*caly_webhook_deliveries_total\{route="call-start"/)
  expect(values.filter((value) => IDENTIFIES.test(value) || callSids.some((callSid) => value.includes(callSid)))).toEqual([])
  await traffic()
  expect(await ourSeries()).toEqual(before)
})
