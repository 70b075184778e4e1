// Another client of the API, in a separate process, so that a busy attacker does not delay its measurements.
// Sends requests until its stdin ends, then prints the measurements as JSON.
import { execFileSync } from 'node:child_process'
import { request } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { newCallSid } from '../support/servers.ts'
import { sign } from '../support/webhook.ts'

export interface Probed {
  /** The highest resident memory of the API. */
  memoryMB: number
  /** The longest response time. */
  answerMs: number
  /** Requests without a response of status 200. */
  failures: number
}

const PROBE_EVERY_MS = 50
const ANSWER_TIMEOUT_MS = 20_000
/** An address that differs from the attacker's, if the machine has one. */
const OWN_ADDRESS = process.platform === 'linux' ? '127.0.0.2' : '127.0.0.1'

const [apiUrl = '', pid = ''] = process.argv.slice(2)
const end = new AbortController()
process.stdin.on('end', () => end.abort()).resume()

const probed: Probed = { memoryMB: 0, answerMs: 0, failures: 0 }
for (let i = 0; !end.signal.aborted; i += 1) {
  probed.memoryMB = Math.max(probed.memoryMB, residentMB())
  const startedAt = performance.now()
  const status = await (i % 2 === 0 ? send('GET', '/health/ready') : sendWebhook())
  if (i === 0)
    console.log('ready') // the first request is not measured: it includes the start of this process
  else probed.answerMs = Math.max(probed.answerMs, performance.now() - startedAt)
  if (status !== 200) probed.failures += 1
  await pause(PROBE_EVERY_MS)
}
console.log(JSON.stringify(probed))

function sendWebhook(): Promise<number> {
  return send('POST', '/webhooks/exotel/call-start', JSON.stringify({ CallSid: newCallSid(), Status: 'in-progress' }))
}

/** Sends a request on a new connection. @returns the status; 0 if there was no response */
function send(method: string, path: string, body = ''): Promise<number> {
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), 'x-exotel-signature': sign(body) }
  return new Promise((resolve) => {
    const outgoing = request(`${apiUrl}${path}`, { method, headers, agent: false, localAddress: OWN_ADDRESS, timeout: ANSWER_TIMEOUT_MS })
    outgoing.on('response', (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0))
      response.on('error', () => resolve(0))
    })
    outgoing.on('timeout', () => outgoing.destroy())
    outgoing.on('error', () => resolve(0))
    outgoing.end(body)
  })
}

function residentMB(): number {
  return Math.round(Number(execFileSync('ps', ['-o', 'rss=', '-p', pid], { encoding: 'utf8' })) / 1024)
}
