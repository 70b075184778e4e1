import { setTimeout as pause } from 'node:timers/promises'
import { oneByteChunks, rawClient, type RawClient } from '../support/raw-client.ts'
import { postRaw } from '../support/webhook.ts'
import { openSockets, type Target } from './measure.ts'
import {
  compressed,
  deepJson,
  formWithFields,
  head,
  LONG_PASSWORD,
  manyAddresses,
  multipartWithParts,
  post,
  repeated,
  times,
} from './requests.ts'

export interface Attack {
  name: string
  /** Settings of the API for this attack. */
  env?: NodeJS.ProcessEnv
  /** Runs once before the measurement, so that memory allocated at the first use is not counted. */
  warmUp?: (target: Target) => Promise<unknown>
  /** @returns the seconds until the server had closed all connections, if it has to close them */
  run: (target: Target) => Promise<number | void>
  bounds: Bounds
}

interface Bounds {
  /** Increase compared with an idle process. */
  memoryMB: number
  loopDelayMs: number
  answerMs: number
  closedWithinSeconds: number
}

/** The default bounds. */
const USUAL: Bounds = { memoryMB: 96, loopDelayMs: 500, answerMs: 1000, closedWithinSeconds: Infinity }
const BUNDLE = '/docs/swagger-ui-bundle.js'
const MB = 1024 ** 2
const WEBHOOK = '/webhooks/exotel/call-end'
const FALSE_SIGNATURE = { 'X-Exotel-Signature': '0'.repeat(40) }
/** Addresses that differ from the probe's, if the machine has them. */
const FOUR_ADDRESSES = process.platform === 'linux' ? ['127.0.0.3', '127.0.0.4', '127.0.0.5', '127.0.0.6'] : []
const SMALL_CHUNKS =
  head('POST', '/api/auth/login', { 'Content-Type': 'application/json', 'Transfer-Encoding': 'chunked' }) +
  oneByteChunks(' '.repeat(16_000))
/** The size of one packet, in pieces of 64 bytes. */
const WAITING_BODY = Buffer.from(
  (
    head('POST', '/api/auth/login', { 'Content-Type': 'application/json', 'Transfer-Encoding': 'chunked' }) +
    `40\r\n${' '.repeat(64)}\r\n`.repeat(1000)
  ).slice(0, 65_000),
)

const getBundle = ({ apiUrl }: Target): Promise<unknown> => fetch(`${apiUrl}${BUNDLE}`).then((response) => response.text())

export const ATTACKS: Attack[] = [
  {
    name: 'unread responses to 1,200 pipelined requests',
    warmUp: getBundle,
    run: (target) => untilClosed(target, 20, () => rawClient(target.apiUrl, head('GET', BUNDLE).repeat(1200), 'paused')),
    bounds: { ...USUAL, memoryMB: 64, closedWithinSeconds: 40 },
  },
  ...[BUNDLE, '/openapi.json', '/health', '/nowhere'].map((path) => ({
    name: `unread responses to 16 pipelined requests for ${path}, while the client keeps sending bytes`,
    warmUp: ({ apiUrl }: Target) => fetch(`${apiUrl}${path}`).then((response) => response.text()),
    run: ({ apiUrl }: Target) =>
      holdWhile(
        20_000,
        20,
        () => rawClient(apiUrl, head('GET', path).repeat(16), 'paused'),
        ({ socket }) => socket.write('G'),
      ),
    bounds: { ...USUAL, memoryMB: 64 },
  })),
  {
    name: 'one byte of a response read per second',
    warmUp: getBundle,
    run: (target) =>
      untilClosed(
        target,
        50,
        () => rawClient(target.apiUrl, head('GET', BUNDLE).repeat(8), 'paused'),
        ({ socket }) => socket.read(1),
      ),
    bounds: { ...USUAL, memoryMB: 64, closedWithinSeconds: 45 },
  },
  {
    name: 'slow readers of four addresses hold all connections',
    env: { RATE_LIMIT_GENERAL: '100' }, // 1,200 of these responses fill the buffers of the system: docs/deployment.md
    warmUp: getBundle,
    run: ({ apiUrl }) => {
      let opened = 0
      const open = async (): Promise<RawClient> => {
        const i = (opened += 1)
        await pause(i * 5) // other attacks measure many simultaneous requests
        return rawClient(apiUrl, head('GET', BUNDLE), 'paused', FOUR_ADDRESSES[i % 4])
      }
      return holdWhile(20_000, 4000, open, ({ socket }) => socket.read(2000))
    },
    // 4,000 connections are opened and closed at once, and the attacker uses one CPU core. The important bound is that no request fails.
    bounds: { ...USUAL, memoryMB: 256, loopDelayMs: 1000, answerMs: 3000 },
  },
  {
    name: 'long passwords of combining characters',
    run: ({ apiUrl }) => repeated(100, 10, () => post(apiUrl, '/api/auth/register', LONG_PASSWORD)),
    bounds: USUAL,
  },
  {
    name: 'bodies of 1 MB without credentials',
    run: ({ apiUrl }) => holdWhile(5000, 400, sending(apiUrl, unfinishedBody({}))),
    bounds: USUAL,
  },
  {
    name: 'bodies of 1 MB with a false signature',
    run: ({ apiUrl }) => holdWhile(5000, 400, sending(apiUrl, unfinishedBody(FALSE_SIGNATURE))),
    bounds: USUAL,
  },
  {
    name: 'headers that never end',
    run: (target) =>
      untilClosed(
        target,
        200,
        () => rawClient(target.apiUrl, 'GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: '),
        ({ socket }) => socket.write('a'),
      ),
    bounds: { ...USUAL, closedWithinSeconds: 24 },
  },
  {
    name: 'bodies that never end',
    run: (target) =>
      untilClosed(
        target,
        200,
        () => rawClient(target.apiUrl, loginHead(100_000)),
        ({ socket }) => socket.write('a'),
      ),
    bounds: { ...USUAL, closedWithinSeconds: 34 },
  },
  {
    name: 'bodies in chunks of one byte',
    run: (target) => untilClosed(target, 100, sending(target.apiUrl, Buffer.from(SMALL_CHUNKS))),
    bounds: { ...USUAL, closedWithinSeconds: 10 },
  },
  {
    name: 'pipelined bodies in chunks of one byte',
    run: (target) => untilClosed(target, 100, sending(target.apiUrl, Buffer.from(head('GET', '/api/auth/me') + SMALL_CHUNKS.repeat(16)))),
    bounds: { ...USUAL, closedWithinSeconds: 10 },
  },
  ...['/nowhere', WEBHOOK].map((path) => ({
    name: `endless chunks of one byte after the response of ${path}`,
    run: ({ apiUrl }: Target) => sendAfterResponses(apiUrl, path, 100, 4000),
    bounds: USUAL,
  })),
  {
    name: 'one byte of a body per second after the response',
    run: (target) =>
      untilClosed(
        target,
        200,
        () => rawClient(target.apiUrl, head('POST', '/nowhere', { 'Content-Length': 100_000 })),
        ({ socket }) => socket.write('a'),
      ),
    bounds: { ...USUAL, closedWithinSeconds: 10 },
  },
  {
    name: 'bodies from four addresses that wait for the rate limit of logins',
    env: { RATE_LIMIT_LOGIN: '5' },
    run: async ({ apiUrl }) => {
      const clients = await times(4000, (i) => rawClient(apiUrl, '', 'flowing', FOUR_ADDRESSES[i % 4]))
      for (const [i, { socket }] of clients.entries()) {
        socket.write(WAITING_BODY)
        if (i % 10 === 0) await pause(10) // other attacks measure many simultaneous requests
      }
      await pause(3000)
      for (const { socket } of clients) socket.destroy()
    },
    bounds: { ...USUAL, memoryMB: 256, loopDelayMs: 1000, answerMs: 3000 }, // 4,000 connections are closed at once
  },
  {
    name: '3,000 connections that send nothing',
    run: (target) => untilClosed(target, 3000, () => rawClient(target.apiUrl, '')),
    bounds: { ...USUAL, closedWithinSeconds: 24 },
  },
  {
    name: 'half-closed connections',
    run: (target) =>
      untilClosed(target, 500, async (index) => {
        const client = await rawClient(target.apiUrl, index % 2 === 0 ? head('GET', BUNDLE) : loginHead(1000), 'paused')
        client.socket.end()
        return client
      }),
    bounds: { ...USUAL, closedWithinSeconds: 45 },
  },
  {
    name: '10,000 addresses behind a proxy',
    env: { TRUST_PROXY: 'loopback', RATE_LIMIT_GENERAL: '300' },
    run: ({ apiUrl }) => manyAddresses(apiUrl, 10_000, WEBHOOK),
    bounds: USUAL,
  },
  ...[
    { what: 'nested JSON of 1 MB', body: deepJson(MB - 1000), type: 'application/json' },
    { what: 'forms of 10,000 fields', body: formWithFields(10_000), type: 'application/x-www-form-urlencoded' },
    { what: 'multipart of 10,000 parts', body: multipartWithParts(10_000), type: 'multipart/form-data; boundary=B' },
  ].map(({ what, body, type }) => ({
    name: `${what}, with a valid signature`,
    run: ({ apiUrl }: Target) => repeated(40, 4, () => postRaw(apiUrl, 'call-start', body, { 'content-type': type })),
    bounds: { ...USUAL, memoryMB: 256 }, // only Exotel can send these, and each is stored
  })),
  {
    name: 'nested JSON without an account',
    run: ({ apiUrl }) => repeated(200, 10, () => post(apiUrl, '/api/auth/login', deepJson(60_000))),
    bounds: USUAL,
  },
  {
    name: 'compressed bodies',
    run: ({ apiUrl }) => repeated(50, 10, () => postRaw(apiUrl, 'call-end', compressed(100 * MB), { 'content-encoding': 'gzip' })),
    bounds: USUAL,
  },
]

function loginHead(length: number): string {
  return `${head('POST', '/api/auth/login', { 'Content-Type': 'application/json', 'Content-Length': length })}{"email":"`
}

/** Connections that share the bytes to send, so that the attacker needs little memory. */
function sending(apiUrl: string, bytes: Buffer): () => Promise<RawClient> {
  return () => rawClient(apiUrl, bytes)
}

/** A body of 1 MB without its last byte. */
function unfinishedBody(headers: object): Buffer {
  return Buffer.concat([Buffer.from(head('POST', WEBHOOK, { ...headers, 'Content-Length': MB })), Buffer.alloc(MB - 1, ' ')])
}

/** Each connection waits for the response, then sends chunks as fast as possible. When it is closed, a new one is opened. */
async function sendAfterResponses(apiUrl: string, path: string, count: number, ms: number): Promise<void> {
  const chunks = Buffer.from('1\r\na\r\n'.repeat(10_900))
  const ended = performance.now() + ms
  await times(count, async () => {
    while (performance.now() < ended) {
      const { socket, closed } = await rawClient(apiUrl, head('POST', path, { 'Transfer-Encoding': 'chunked' }))
      const send = (): void => {
        while (!socket.destroyed && socket.write(chunks)) if (performance.now() >= ended) return void socket.destroy()
      }
      socket.once('data', send).on('drain', send)
      const end = setTimeout(() => socket.destroy(), ended - performance.now())
      await closed
      clearTimeout(end)
    }
  })
}

type EverySecond = (client: RawClient) => unknown

/** Opens connections and holds them. */
async function holdWhile(ms: number, count: number, open: () => Promise<RawClient>, everySecond: EverySecond = () => {}): Promise<void> {
  const clients = await times(count, open)
  const tick = setInterval(() => clients.forEach(everySecond), 1000)
  await pause(ms)
  clearInterval(tick)
  for (const { socket } of clients) socket.destroy()
}

const HELD_AT_MOST_MS = 60_000
/** Connections that the server itself may open to PostgreSQL meanwhile. */
const OWN_SOCKETS = 8

/**
 * Opens connections and holds them until the server has closed all of them. The server's metrics are used, because a client that does
 * not read does not see that its connection was closed.
 * @returns the seconds until then
 */
async function untilClosed(
  target: Target,
  count: number,
  open: (index: number) => Promise<RawClient>,
  everySecond: EverySecond = () => {},
): Promise<number> {
  const before = await openSockets(target)
  const clients = await times(count, open)
  const startedAt = performance.now()
  const tick = setInterval(() => clients.forEach(everySecond), 1000)
  do await pause(500)
  while ((await openSockets(target)) > before + OWN_SOCKETS && performance.now() - startedAt < HELD_AT_MOST_MS)
  clearInterval(tick)
  for (const { socket } of clients) socket.destroy()
  return Math.round((performance.now() - startedAt) / 100) / 10
}
