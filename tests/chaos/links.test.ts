// Links of the Exotel simulator: late links, and pre-signed links that expire. A receiver of webhooks replaces the product.
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { startSimulator, type Simulator } from '../../testing/simulator/server.ts'
import { eventually } from '../support/eventually.ts'
import { sample } from '../support/samples.ts'

const KEY = { authorization: `Basic ${Buffer.from('key:token').toString('base64')}` }
/** One minute takes 50 ms, so that 50 min take 2.5 s. */
const WAIT_SCALE = 1 / 1200
const bodies: string[] = []
let receiver: Server
let simulator: Simulator

beforeAll(async () => {
  receiver = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (text: string) => (body += text))
    request.on('end', () => {
      bodies.push(body)
      response.end()
    })
  })
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
  const apiUrl = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`
  const account = { accountSid: 'acme', apiKey: 'key', apiToken: 'token', secret: 'secret', basic: 'user:password' }
  simulator = await startSimulator({ ...account, apiUrl: () => apiUrl, waitScale: WAIT_SCALE, port: 0 })
})
afterAll(async () => {
  await simulator?.close()
  await new Promise((resolve) => void receiver?.close(resolve))
})

/** The link in the last webhook about a call. */
const linkOf = (callSid: string): string | undefined =>
  bodies.map((body) => new RegExp(`http://\\S*/${callSid}\\S*`).exec(body)?.[0]).findLast(Boolean)
const statusOf = async (link: string, headers: Record<string, string> = {}): Promise<number> => (await fetch(link, { headers })).status
const becomes = (status: number, link: string, headers?: Record<string, string>) =>
  eventually(`${status}`, async () => (await statusOf(link, headers)) === status)

test('When a further recording has an expiring link, then only that link serves the recording, and only until it expires', async () => {
  const { call, told } = simulator.call({ fault: 'late-recording', recording: sample('short-vbr-id3.mp3') })
  await told
  const { link, acknowledged } = await simulator.further(call, sample('outbound-mono.mp3'), 'expiring')
  expect(acknowledged).toBe(true)
  const signed = linkOf(link.split('/').at(-1)!.replace('.mp3', ''))!
  expect(signed.startsWith(`${link}?`)).toBe(true)
  expect([await statusOf(signed), await statusOf(signed, KEY), await statusOf(link), await statusOf(link, KEY)]).toEqual([
    200, 400, 401, 401,
  ])
  expect(await statusOf(signed.replace(/Expires=\d+/, 'Expires=9999999999999'))).toBe(403)
  expect(await statusOf(simulator.linkTo(call), KEY)).toBe(404)
  await becomes(403, signed)
  await becomes(200, simulator.linkTo(call), KEY)
})

test('When a link is rate limited for a long time, then it responds with Retry-After, and other links are served', async () => {
  const { call } = simulator.call({ fault: 'rate-limited-long', recording: sample('short-vbr-id3.mp3') })
  const other = simulator.call({ fault: 'none', recording: sample('short-vbr-id3.mp3') }).call
  const answer = await fetch(simulator.linkTo(call), { headers: KEY })
  expect([answer.status, answer.headers.get('retry-after')]).toEqual([429, '2'])
  expect(await statusOf(simulator.linkTo(other), KEY)).toBe(200)
  await becomes(200, simulator.linkTo(call), KEY)
})

test('When the only link of a call has expired, then Call Details contains a new one', async () => {
  const { call, told } = simulator.call({ fault: 'link-expires', recording: sample('short-vbr-id3.mp3') })
  await told
  const signed = linkOf(call.callSid)!
  await becomes(403, signed)
  expect(await statusOf(simulator.linkTo(call), KEY)).toBe(401)
  const details = await fetch(`${simulator.url}/v1/Accounts/acme/Calls/${call.callSid}.json?RecordingUrlValidity=60`, { headers: KEY })
  const { Call } = (await details.json()) as { Call: { RecordingUrl: string; PreSignedRecordingUrl: string } }
  expect(Call.RecordingUrl).toBe(simulator.linkTo(call))
  expect(await statusOf(Call.PreSignedRecordingUrl)).toBe(200)
  await becomes(403, Call.PreSignedRecordingUrl)
})
