// A stand-in Exotel: recordings, the Calls API, and a door for people and tests that want a call to happen.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { makeCall, type CallPlan, type SimulatedCall } from './call.ts'
import { callDetails, isKnown, listCalls, type AnsweredLinks } from './calls-api.ts'
import { FAULTS, isFault } from './faults.ts'
import { createLinks } from './links.ts'
import { servePresigned, serveRecording, type Credentials } from './recording-routes.ts'
import { sendCallEvents, sendRecordingEvent, type WebhookTarget } from './webhooks.ts'

export interface SimulatorSettings extends Omit<WebhookTarget, 'apiUrl'> {
  /** Where webhooks go; asked anew for each call. */
  apiUrl: () => string
  /** Where its links lead; to itself unless said. */
  publicUrl?: () => string
  /** Where its pre-signed links lead: another host name, as S3 is. */
  presignedUrl?: string | undefined
  /** The address that it listens on; 127.0.0.1 unless said. */
  host?: string | undefined
  apiKey: string
  apiToken: string
  port: number
}

export interface Simulator {
  url: string
  calls: Map<string, SimulatedCall>
  /** A call takes place and its webhooks are sent; resolves once Exotel has nothing more to tell. */
  call(plan: CallPlan): { call: SimulatedCall; told: Promise<void> }
  /**
   * The call gets a further recording, which only a webhook names: by its plain link, or by a pre-signed one that expires before
   * a late first recording is there. Resolves with the plain link.
   */
  further(call: SimulatedCall, recording: string, link: 'plain' | 'expiring'): Promise<{ link: string; acknowledged: boolean }>
  /** Its plain link to the call's recording. */
  linkTo(call: SimulatedCall): string
  /** 0: serves everything; else the status that API and recordings answer with. */
  outage(status: number): void
  close(): Promise<void>
}

/** From the call's end, when the recording becomes available; the webhook that names the link comes after 45 s. */
const LINK_EXPIRES_AFTER_MINUTES = 3
/** From the webhook. A first recording that is late comes after 55 min. */
const FURTHER_EXPIRES_AFTER_MINUTES = 50
const REDIRECT_VALID_MINUTES = 60

export async function startSimulator(settings: SimulatorSettings): Promise<Simulator> {
  const calls = new Map<string, SimulatedCall>()
  let outage = 0
  const server = createServer((request, response) => {
    route(request, response).catch((error: unknown) =>
      response.headersSent ? response.destroy() : response.writeHead(500).end(String(error)),
    )
  })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(settings.port, settings.host ?? '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const url = `http://127.0.0.1:${port}`
  // Pre-signed links lead to another host name, as S3 is: whoever sends our credentials there is found out.
  const presigned = settings.presignedUrl ?? `http://localhost:${port}`
  const links = createLinks({ own: () => settings.publicUrl?.() ?? url, presigned }, settings)
  const answered: AnsweredLinks = {
    recordingUrl: links.recordingUrl,
    presignedUrl: (call, minutes) => links.presignedUrl(call, inMinutes(minutes, new Date())),
  }
  return {
    url,
    calls,
    call,
    further,
    linkTo: links.recordingUrl,
    outage: (status) => void (outage = status),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }

  function call(plan: CallPlan): { call: SimulatedCall; told: Promise<void> } {
    const made = makeCall(plan, { now: new Date(), waitScale: settings.waitScale })
    calls.set(made.callSid, made)
    const told = plan.untold ? Promise.resolve() : sendCallEvents(made, linkInWebhook(made), { ...settings, apiUrl: settings.apiUrl() })
    return { call: made, told }
  }

  function linkInWebhook(made: SimulatedCall): string | undefined {
    if (!made.recording) return undefined
    if (made.fault !== 'link-expires') return links.recordingUrl(made)
    return links.signedUrl(made, inMinutes(LINK_EXPIRES_AFTER_MINUTES, made.endedAt))
  }

  async function further(
    call: SimulatedCall,
    recording: string,
    kind: 'plain' | 'expiring',
  ): Promise<{ link: string; acknowledged: boolean }> {
    const callSid = `${call.callSid}-${calls.size}`
    const plan = makeCall({ fault: 'none', recording, callSid }, { now: new Date(), waitScale: settings.waitScale })
    const made = { ...plan, partOf: call.callSid, signedLinksOnly: kind === 'expiring' }
    calls.set(callSid, made)
    const link = links.recordingUrl(made)
    const named = kind === 'plain' ? link : links.signedUrl(made, inMinutes(FURTHER_EXPIRES_AFTER_MINUTES, new Date()))
    return { link, acknowledged: await sendRecordingEvent(call, named, { ...settings, apiUrl: settings.apiUrl() }) }
  }

  function inMinutes(minutes: number, from: Date): Date {
    return new Date(from.getTime() + minutes * 60_000 * settings.waitScale)
  }

  async function route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', url)
    if (request.method === 'POST' && pathname === '/simulator/calls') return orderCall(request, response)
    if (pathname === '/health/ready') return json(response, 200, { pid: process.pid })
    if (outage > 0) return void response.writeHead(outage).end()
    const [, room, ...rest] = pathname.split('/')
    const found = calls.get(/^([A-Za-z0-9_-]+)(\.\w+)?$/.exec(rest.at(-1) ?? '')?.[1] ?? '')
    if (room === 'presigned' && found) return servePresigned(found, credentialsIn(found, searchParams, request), request, response)
    if (room === 'recordings' && found) {
      const redirectTo = answered.presignedUrl(found, REDIRECT_VALID_MINUTES)
      return serveRecording(found, credentialsIn(found, searchParams, request), redirectTo, request, response)
    }
    if (room !== 'v1') return json(response, 404, { RestException: { Status: 404, Message: 'Not found' } })
    if (!isAuthorized(request)) return json(response, 401, { RestException: { Status: 401, Message: 'Unauthorized' } })
    if (rest.at(-1) === 'Calls.json') return json(response, 200, listCalls([...calls.values()], searchParams, pathname, answered))
    if (!found || !isKnown(found)) return json(response, 404, { RestException: { Status: 404, Message: 'Call not found' } })
    return json(response, 200, callDetails(found, searchParams, answered))
  }

  /** `{recording, fault}` → a call is made; answered before its webhooks are sent. */
  async function orderCall(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
    const { recording, fault = 'none' } = JSON.parse(Buffer.concat(chunks).toString()) as { recording?: string; fault?: string }
    if (!isFault(fault)) return json(response, 400, { error: `There is no fault ${fault}. Known: ${Object.keys(FAULTS).join(', ')}` })
    const { call: made, told } = call({ fault, recording })
    told.catch(() => {})
    const link = made.recording && links.recordingUrl(made)
    return json(response, 200, { callSid: made.callSid, expected: FAULTS[fault], sha256: made.recording?.sha256, link })
  }

  function isAuthorized(request: IncomingMessage): boolean {
    return request.headers.authorization === `Basic ${Buffer.from(`${settings.apiKey}:${settings.apiToken}`).toString('base64')}`
  }

  function credentialsIn(call: SimulatedCall, query: URLSearchParams, request: IncomingMessage): Credentials {
    const authorization = request.headers.authorization !== undefined
    return { key: isAuthorized(request), authorization, signature: links.readSignature(call, query) }
  }
}

function json(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
