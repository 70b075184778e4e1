// Sends a call's webhooks as Exotel does: each in another content type, signed, tried again at most twice.
import { createHmac, randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { request } from 'undici'
import { formatExotelTime } from '../exotel/time.ts'
import type { SimulatedCall } from './call.ts'

export interface WebhookTarget {
  /** Of our API. */
  apiUrl: string
  secret: string
  accountSid: string
  /** Shortens the pauses between a call's events. */
  waitScale: number
}

type Encoding = 'json' | 'form' | 'multipart'
interface Delivery {
  route: 'call-start' | 'call-end' | 'recording'
  encoding: Encoding
  fields: Record<string, string>
}

/** Exotel gives a webhook 15 s, and tries again at most twice. */
const TIMEOUT_MS = 15_000
const RETRIES = 2
/** Soon after the call's end, before anybody asks. */
const LINK_AFTER_MS = 45_000
const LATE_LINK_AFTER_MS = 240_000

/** Everything that Exotel tells of a call that has just ended. */
export async function tellCall(call: SimulatedCall, recordingUrl: string | undefined, target: WebhookTarget): Promise<void> {
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
  if (!link || call.fault === 'lost-webhook') return
  await pause(linkAfterMs)
  await send(link)
}

/** A further recording of a call: the one webhook that names it. False: nobody acknowledged it. */
export function tellRecording(call: SimulatedCall, recordingUrl: string, target: WebhookTarget): Promise<boolean> {
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
  for (let tries = 0; tries <= RETRIES; tries += 1) {
    const { body, contentType } = encode(delivery)
    const signature = createHmac('sha1', target.secret).update(body).digest('hex')
    const status = await request(`${target.apiUrl}/webhooks/exotel/${delivery.route}`, {
      method: 'POST',
      headers: { 'content-type': contentType, 'x-exotel-signature': signature },
      body,
      headersTimeout: TIMEOUT_MS,
    }).then(
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

function encode({ encoding, fields }: Delivery): { body: Buffer; contentType: string } {
  switch (encoding) {
    case 'json':
      return { body: Buffer.from(JSON.stringify(fields)), contentType: 'application/json' }
    case 'form':
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
