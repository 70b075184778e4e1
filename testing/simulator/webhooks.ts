// Sends the webhooks of a call as Exotel does: with different content types, signed, with at most two retries.
import { createHmac, randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { request } from 'undici'
import type { WebhookRoute } from '../../exotel/call-event.ts'
import { formatExotelTime } from '../../exotel/time.ts'
import type { SimulatedCall } from './call.ts'
import { flowEvents } from './call-flow.ts'

export interface WebhookTarget {
  /** Base URL of our API. */
  apiUrl: string
  secret: string
  /** `user:password`, for requests without a body to sign. */
  basic: string
  accountSid: string
  /** Factor for the pauses between the events of a call. */
  waitScale: number
}

interface Delivery {
  route: WebhookRoute
  /** `query` is sent as a GET request, like those of the Passthru applet. */
  encoding: 'json' | 'form' | 'multipart' | 'query'
  fields: Record<string, string>
}

/** Exotel waits 15 s for the response to a webhook, and retries at most twice. */
const TIMEOUT_MS = 15_000
const RETRIES = 2
/** Shortly after the call's end, before the product requests Call Details. */
const LINK_AFTER_MS = 45_000
const LATE_LINK_AFTER_MS = 240_000

/** Sends all webhooks of a call that has just ended. */
export async function sendCallEvents(call: SimulatedCall, recordingUrl: string | undefined, target: WebhookTarget): Promise<void> {
  if (call.fault.startsWith('passthru')) return sendFlow(call, recordingUrl, target)
  const { start, end, link } = deliveriesOf(call, recordingUrl, target.accountSid)
  const linkAfterMs = (call.fault === 'late-url' ? LATE_LINK_AFTER_MS : LINK_AFTER_MS) * target.waitScale
  const copies = call.fault === 'duplicate' ? 3 : 1
  const send = async (delivery: Delivery): Promise<void> => {
    await Promise.all(Array.from({ length: copies }, () => deliver(delivery, target)))
  }
  if (call.fault === 'out-of-order') {
    if (link) await send(link)
    await send(end)
    return send(start)
  }
  await send(start)
  await send(end)
  if (!link || call.fault === 'lost-webhook' || call.fault === 'call-unknown-first') return
  await pause(linkAfterMs)
  await send(link)
}

/** Sends the events of a call flow in their order. */
async function sendFlow(call: SimulatedCall, recordingUrl: string | undefined, target: WebhookTarget): Promise<void> {
  for (const { atMs, ...event } of flowEvents(call, call.fault === 'passthru' ? recordingUrl : undefined)) {
    await pause(Math.max(0, atMs - Date.now()))
    await deliver(event, target)
  }
}

/** Sends the only webhook about a further recording of a call. @returns whether it was acknowledged */
export function sendRecordingEvent(call: SimulatedCall, recordingUrl: string, target: WebhookTarget): Promise<boolean> {
  return deliver(deliveriesOf(call, recordingUrl, target.accountSid).link!, target)
}

function deliveriesOf(
  call: SimulatedCall,
  recordingUrl: string | undefined,
  accountSid: string,
): { start: Delivery; end: Delivery; link?: Delivery } {
  const common = { CallSid: call.callSid, AccountSid: accountSid, Direction: 'inbound', From: '09876543210', To: '+918045678901' }
  const times = { StartTime: formatExotelTime(call.startedAt), DateUpdated: formatExotelTime(call.endedAt) }
  const ended = {
    ...common,
    ...times,
    EventType: 'terminal',
    Status: call.status,
    EndTime: formatExotelTime(call.endedAt),
    ConversationDuration: String(call.status === 'completed' ? call.durationSeconds : 0),
    'Legs[0][OnCallDuration]': String(call.durationSeconds),
    'Legs[0][Status]': call.status,
  }
  return {
    start: { route: 'call-start', encoding: 'json', fields: { ...common, StartTime: times.StartTime, Status: 'in-progress' } },
    end: { route: 'call-end', encoding: 'form', fields: { ...ended, RecordingUrl: 'null' } },
    ...(recordingUrl && {
      link: { route: 'recording', encoding: 'multipart', fields: { ...common, ...times, Status: call.status, RecordingUrl: recordingUrl } },
    }),
  }
}

async function deliver(delivery: Delivery, target: WebhookTarget): Promise<boolean> {
  for (let retries = 0; retries <= RETRIES; retries += 1) {
    const url = `${target.apiUrl}/webhooks/exotel/${delivery.route}`
    const sent = delivery.encoding === 'query' ? sendQuery(url, delivery.fields, target) : sendBody(url, delivery, target)
    const status = await sent.then(
      async (response) => {
        await response.body.dump()
        return response.statusCode
      },
      () => 0,
    )
    if (status === 200) return true
    await pause(1000)
  }
  return false
}

type Response = ReturnType<typeof request>

function sendQuery(url: string, fields: Delivery['fields'], { basic }: WebhookTarget): Response {
  const headers = { authorization: `Basic ${Buffer.from(basic).toString('base64')}` }
  return request(`${url}?${new URLSearchParams(fields).toString()}`, { headers, headersTimeout: TIMEOUT_MS })
}

function sendBody(url: string, delivery: Delivery, { secret }: WebhookTarget): Response {
  const { body, contentType } = encode(delivery)
  const signature = createHmac('sha1', secret).update(body).digest('hex')
  const headers = { 'content-type': contentType, 'x-exotel-signature': signature }
  return request(url, { method: 'POST', headers, body, headersTimeout: TIMEOUT_MS })
}

function encode({ encoding, fields }: Delivery): { body: Buffer; contentType: string } {
  switch (encoding) {
    case 'json':
      return { body: Buffer.from(JSON.stringify(fields)), contentType: 'application/json' }
    case 'form':
    case 'query':
      return { body: Buffer.from(new URLSearchParams(fields).toString()), contentType: 'application/x-www-form-urlencoded' }
    case 'multipart': {
      const boundary = `----${randomBytes(12).toString('hex')}`
      const parts = Object.entries(fields).map(
        ([name, value]) => `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
      )
      return { body: Buffer.from(`${parts.join('')}--${boundary}--\r\n`), contentType: `multipart/form-data; boundary=${boundary}` }
    }
  }
}
