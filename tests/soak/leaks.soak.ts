// Runs API and worker under mixed traffic for SOAK_MINUTES (default 10). The heap after collections, open handles, metric series and
// listeners must not grow.
import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { WebSocket } from 'undici'
import { freePort } from '../../dev/ports.ts'
import { bearer, get, loggedIn, post, registered, type BearerTokens } from '../support/accounts.ts'
import { startBackend, type Backend } from '../support/backend.ts'
import { eventually } from '../support/eventually.ts'
import { sample } from '../support/samples.ts'
import { newCallSid } from '../support/servers.ts'
import { postWebhook } from '../support/webhook.ts'

const MINUTES = Number(process.env.SOAK_MINUTES ?? 10)
const SAMPLES = 40
/** Allowed growth from the second quarter of the run to the last. */
const ALLOWED = { heapFactor: 1.1, heapBytes: 4 * 1024 ** 2, handles: 10, series: 10 }

type ProcessName = 'api' | 'worker'
interface Sample {
  heapMB: number
  handles: number
  listenerWarnings: number
  /** Lines of /metrics. A label with an unlimited number of values would increase it. */
  series: number
}

let backend: Backend
const inspectors = {} as Record<ProcessName, number>
const operations = {} as Record<ProcessName, number>
beforeAll(async () => {
  backend = await startBackend({ start: [], env: { LOG_LEVEL: 'warn', RECOVERY_EVERY_MINUTES: '3' } })
  for (const name of ['api', 'worker'] as const) {
    inspectors[name] = await freePort(0)
    operations[name] = name === 'api' ? await freePort(0) : Number(new URL(backend.workerHealthUrl).port)
    await backend.start(name, { NODE_OPTIONS: `--inspect=127.0.0.1:${inspectors[name]}`, OPERATIONS_PORT: String(operations[name]) })
  }
})
afterAll(() => backend?.stop())

test(`When API and worker have mixed traffic for ${MINUTES} minutes, then neither leaks memory, handles, series or listeners`, async () => {
  const end = new AbortController()
  const traffic = [webhooks, accounts, strangers, hangUps].map((kind) => repeat(kind, end.signal))
  const samples: Record<ProcessName, Sample[]> = { api: [], worker: [] }
  for (let i = 0; i < SAMPLES; i += 1) {
    await pause((MINUTES * 60_000) / SAMPLES)
    for (const name of ['api', 'worker'] as const) samples[name].push(await measure(name))
  }
  end.abort()
  const requests = (await Promise.all(traffic)).reduce((sum, each) => sum + each, 0)
  for (const name of ['api', 'worker'] as const) {
    const [early, late] = [median(samples[name].slice(SAMPLES / 4, SAMPLES / 2)), median(samples[name].slice(-SAMPLES / 4))]
    console.log(JSON.stringify({ name, minutes: MINUTES, requests, early, late }))
    expect(late.heapMB).toBeLessThanOrEqual(early.heapMB * ALLOWED.heapFactor + ALLOWED.heapBytes / 1e6)
    expect(late.handles).toBeLessThanOrEqual(early.handles + ALLOWED.handles)
    expect(late.series).toBeLessThanOrEqual(early.series + ALLOWED.series)
    expect(late.listenerWarnings).toBe(0)
  }
})

/** Repeats the work until the signal aborts. @returns the number of repetitions */
async function repeat(work: () => Promise<unknown>, signal: AbortSignal): Promise<number> {
  let times = 0
  for (; !signal.aborted; times += 1) await work()
  return times
}

async function webhooks(): Promise<void> {
  const { call, told } = backend.simulator.call({ fault: 'none', recording: sample('short-vbr-id3.mp3') })
  await told
  await postWebhook(backend.apiUrl, 'call-start', { CallSid: newCallSid() })
  await eventually('the recording', async () => (await backend.callRow(call.callSid))?.recording_state === 'stored', 60_000)
}

async function accounts(): Promise<void> {
  const person = await registered(backend)
  let tokens = await loggedIn(backend.apiUrl, person)
  for (let i = 0; i < 20; i += 1) {
    await get(backend.apiUrl, '/api/auth/me', bearer(tokens.accessToken))
    tokens = (await post<BearerTokens>(backend.apiUrl, '/api/auth/refresh', { refreshToken: tokens.refreshToken })).body
  }
  await post(backend.apiUrl, '/api/auth/logout', { refreshToken: tokens.refreshToken })
}

async function strangers(): Promise<void> {
  await fetch(`${backend.apiUrl}/${randomBytes(8).toString('hex')}`, { method: ['GET', 'PUT', 'DELETE'][Math.floor(Math.random() * 3)]! })
  await post(backend.apiUrl, '/api/auth/login', '{"email":', {})
  await fetch(`${backend.apiUrl}/health`)
  await pause(5)
}

/** A client that resets its connection in the middle of a request. */
async function hangUps(): Promise<void> {
  const socket = connect(Number(new URL(backend.apiUrl).port), '127.0.0.1').on('error', () => {})
  socket.write('POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"email"')
  await pause(20)
  socket.resetAndDestroy()
}

async function measure(name: ProcessName): Promise<Sample> {
  await collectGarbage(inspectors[name])
  const text = await (await fetch(`http://127.0.0.1:${operations[name]}/metrics`)).text()
  const value = (metric: string): number => Number(new RegExp(`^${metric} (\\S+)`, 'm').exec(text)?.[1] ?? 0)
  return {
    heapMB: value('caly_heap_after_gc_bytes') / 1e6,
    handles: value('nodejs_active_handles_total'),
    listenerWarnings: value('caly_listener_warnings_total'),
    series: text.split('\n').length,
  }
}

async function collectGarbage(inspector: number): Promise<void> {
  const [target] = (await (await fetch(`http://127.0.0.1:${inspector}/json`)).json()) as { webSocketDebuggerUrl: string }[]
  const socket = new WebSocket(target!.webSocketDebuggerUrl)
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener('open', () => socket.send(JSON.stringify({ id: 1, method: 'HeapProfiler.collectGarbage' })))
    socket.addEventListener('message', () => resolve())
    socket.addEventListener('error', () => reject(new Error('The inspector does not respond')))
  })
  socket.close()
}

function median(samples: Sample[]): Sample {
  const of = (key: keyof Sample): number => samples.map((each) => each[key]).toSorted((a, b) => a - b)[Math.floor(samples.length / 2)]!
  return {
    heapMB: Math.round(of('heapMB') * 10) / 10,
    handles: of('handles'),
    listenerWarnings: of('listenerWarnings'),
    series: of('series'),
  }
}
