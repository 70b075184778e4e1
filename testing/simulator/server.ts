// The Exotel simulator: serves recordings and the Calls API, and makes calls on request of developers and tests.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { makeCall, type CallPlan, type SimulatedCall } from './call.ts'
import { callDetails, isKnown, listCalls, type AnsweredLinks } from './calls-api.ts'
import { FAULTS, isFault } from './faults.ts'
import { createLinks } from './links.ts'
import { servePresigned, serveRecording, type Credentials } from './faulty-answers.ts'
import { sendCallEvents, sendRecordingEvent, type WebhookTarget } from './webhooks.ts'

export interface SimulatorSettings extends Omit<WebhookTarget, 'apiUrl'> {
  /** Returns the base URL for webhooks. Called for each call. */
  apiUrl: () => string
  /** Returns the base URL of links. Default: the simulator's own URL. */
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
  /** Makes a call and sends its webhooks. `told` resolves when all webhooks have been sent. */
  call(plan: CallPlan): { call: SimulatedCall; told: Promise<void> }
  /**
   * Adds a further recording to the call, which is named only in a webhook: by its plain link, or by a pre-signed link that expires
   * before a late first recording is available. Resolves with the plain link.
   */
  further(call: SimulatedCall, recording: string, link: 'plain' | 'expiring'): Promise<{ link: string; acknowledged: boolean }>
  /** The plain link to the call's recording. */
  linkTo(call: SimulatedCall): string
  /** Makes API and recordings respond with this status. 0: ends the outage. */
  outage(status: number): void
  close(): Promise<void>
}

/** Counted from the call's end. At this time the recording becomes available. The webhook with the link is sent after 45 s. */
const LINK_EXPIRES_AFTER_MINUTES = 3
/** Counted from the webhook. A late first recording becomes available after 55 min. */
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
  // Pre-signed links have another host name, like those of S3, so that a client that sends Exotel's credentials there is detected.
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
    const [, folder, ...rest] = pathname.split('/')
    const found = calls.get(/^([A-Za-z0-9_-]+)(\.\w+)?$/.exec(rest.at(-1) ?? '')?.[1] ?? '')
    if (folder === 'presigned' && found) return servePresigned(found, credentialsIn(found, searchParams, request), request, response)
    if (folder === 'recordings' && found) {
      const redirectTo = answered.presignedUrl(found, REDIRECT_VALID_MINUTES)
      return serveRecording(found, credentialsIn(found, searchParams, request), redirectTo, request, response)
    }
    if (folder !== 'v1') return json(response, 404, { RestException: { Status: 404, Message: 'Not found' } })
    if (!isAuthorized(request)) return json(response, 401, { RestException: { Status: 401, Message: 'Unauthorized' } })
    if (rest.at(-1) === 'Calls.json') return json(response, 200, listCalls([...calls.values()], searchParams, pathname, answered))
    if (!found || !isKnown(found)) return json(response, 404, { RestException: { Status: 404, Message: 'Call not found' } })
    return json(response, 200, callDetails(found, searchParams, answered))
  }

  /** Makes a call from `{recording, fault}`. The response is sent before its webhooks. */
  async function orderCall(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
    const { recording, fault = 'none' } = JSON.parse(Buffer.concat(chunks).toString()) as { recording?: string; fault?: string }
    if (!isFault(fault)) return json(response, 400, { error: `Unknown fault ${fault}. Known faults: ${Object.keys(FAULTS).join(', ')}` })
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
