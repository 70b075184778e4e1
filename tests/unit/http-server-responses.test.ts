// Responses that are sent before the body of the request has arrived, and responses that are not read.
import { afterEach, describe, expect, test } from '@jest/globals'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import { duplexPair, type Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import { setImmediate as nextTurn } from 'node:timers/promises'
import express, { type Request, type RequestHandler, type Response } from 'express'
import { pageRoutes } from '../../api/page.ts'
import { readBody } from '../../api/read-body.ts'
import { stopParsing } from '../../platform/http-parser.ts'
import { answerAtOnce, boundedServers, GET, POST_CHUNKED } from '../support/bounded-servers.ts'
import { eventually } from '../support/eventually.ts'
import { countAnswers } from '../support/raw-client.ts'

const { client, closeAll, opened, serve } = boundedServers()
afterEach(closeAll)

function connectionsOf(server: Server): Promise<number> {
  return new Promise((resolve) => server.getConnections((_error, count) => resolve(count)))
}

const unlimited: RequestHandler = (_request, _response, next) => next()

describe('When the response is sent before the request body has arrived', () => {
  const LENGTH = 500_000
  const post = `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${LENGTH}\r\n\r\n`

  test.each([
    ['in chunks', POST_CHUNKED, `${'1\r\na\r\n'.repeat(20)}0\r\n\r\n`],
    ['with Content-Length', post, 'a'.repeat(LENGTH)],
  ])('then the response has Connection: close, and a body %s is not parsed', async (_how, head, body) => {
    const requests: IncomingMessage[] = []
    const url = await serve((request, response) => {
      requests.push(request)
      answerAtOnce(request, response)
    })
    const { socket, received, closed } = await client(url, head)
    await eventually('an answer', async () => received().includes('answer to /'))
    socket.end(body + GET('/next'))
    expect(await closed).toMatch(/^HTTP\/1\.1 200 [^]*\r\nConnection: close\r\n/)
    expect(requests.map(({ complete }) => complete)).toEqual([false])
  })

  /** Node itself closes a connection whose request has not ended after 30 s. */
  const SOONER_THAN_NODE_MS = 6000

  /** A client that continues to send after the server has ended its side. */
  async function open(url: string, sent: string): Promise<Socket> {
    const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1', allowHalfOpen: true })
    opened.clients.push({ socket, received: () => '', closed: Promise.resolve('') })
    socket.on('error', () => {}).write(sent)
    return socket
  }

  test.each([
    ['that the handler does not read', (response: ServerResponse) => void response.end('a'.repeat(100_000))],
    [
      'that is too large',
      async (response: ServerResponse) => {
        await readBody(response.req as Request, response as Response, 1000).catch(() => response.end('a'.repeat(100_000)))
      },
    ],
  ])('then a client that sends a whole body, %s, before it reads gets the whole response', async (_what, answer) => {
    const responses: Response[] = []
    const url = await serve(
      express().use((_request, response) => {
        responses.push(response)
        void answer(response)
      }),
    )
    const socket = await open(url, POST_CHUNKED + `7d0\r\n${'b'.repeat(2000)}\r\n`)
    await eventually('the response to be sent', async () => responses[0]?.writableFinished === true)
    for (let i = 0; i < 20; i += 1) {
      await new Promise((resolve) => socket.write(`fa00\r\n${'b'.repeat(64_000)}\r\n`, resolve))
      await nextTurn()
    }
    const answered = await text(socket)
    expect(answered.endsWith('a'.repeat(100_000))).toBe(true)
  })

  test('then a client that continues to send is disconnected', async () => {
    const url = await serve(answerAtOnce)
    const socket = await open(url, POST_CHUNKED)
    socket.resume()
    await once(socket, 'end')
    const drip = setInterval(() => socket.write('1\r\na\r\n'), 50)
    const isClosed = async () => (await connectionsOf(opened.servers[0]!)) === 0
    await eventually('the connection to be closed', isClosed, SOONER_THAN_NODE_MS).finally(() => clearInterval(drip))
  })

  test('then a client that sends a lot is disconnected before it has sent all of it', async () => {
    const url = await serve(answerAtOnce)
    const socket = await open(url, POST_CHUNKED)
    socket.resume()
    await once(socket, 'end')
    const error = await new Promise((resolve) => socket.write(Buffer.alloc(64_000_000), resolve))
    expect(error).toHaveProperty('code')
  })
})

test('When the whole body has arrived before the response starts, then the connection is kept for the next request', async () => {
  const url = await serve(async (request, response) => {
    await text(request)
    answerAtOnce(request, response)
  })
  const { socket, received } = await client(url, `${POST_CHUNKED}1\r\na\r\n0\r\n\r\n`)
  await eventually('an answer', async () => countAnswers(received(), 200) === 1)
  socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nb')
  await eventually('the second response', async () => countAnswers(received(), 200) === 2)
  expect(received()).not.toMatch(/connection: close/i)
})

test('When a stopped connection requests an upgrade, then its parser is not reused without its callback for bodies', async () => {
  const bodies: string[] = []
  const server = createServer(async (request) => {
    if (request.url === '/stop') return stopParsing(request.socket)
    bodies.push(await text(request))
  })
  const accept = (sent: string): Duplex => {
    const [near, far] = duplexPair()
    server.emit('connection', far)
    near.write(sent)
    return near
  }
  accept(GET('/stop') + GET().replace('Host', 'Connection: Upgrade\r\nUpgrade: x\r\nHost'))
  await nextTurn()
  accept('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello')
  await eventually('the body', async () => bodies.length === 1)
  expect(bodies).toEqual(['hello'])
})

test('When a client does not read its response, then it is disconnected, even while it continues to send', async () => {
  const url = await serve((_request, response) => void response.end(Buffer.alloc(20_000_000)), { unreadMs: 300 })
  await client(url, GET(), 'paused')
  const sending = await client(url, GET(), 'paused')
  const drip = setInterval(() => sending.socket.write('G'), 50)
  await eventually('both to be closed', async () => (await connectionsOf(opened.servers[0]!)) === 0).finally(() => clearInterval(drip))
})

test.each([
  ['less than required', { unreadMs: 500, unreadBytes: 50_000_000 }, false],
  ['as much as required', { unreadMs: 1000, unreadBytes: 16_000 }, true],
])('When a client continues to read, %s, then it is disconnected or gets the whole response', async (_much, limits, isWhole) => {
  const page = Buffer.alloc(40_000_000, 'a').toString()
  const app = express().use(pageRoutes('/page', { title: 'Page', scripts: { 'big.js': page }, styles: {} }, unlimited))
  const url = await serve(app, limits)
  const slow = await client(url, GET('/page/big.js').replace('Host', 'Connection: close\r\nHost'), 'paused')
  let bytes = 0
  slow.socket.on('readable', () => {})
  const reading = setInterval(
    () => (bytes += (slow.socket.read(Math.min(200_000, slow.socket.readableLength || 1)) as Buffer | null)?.length ?? 0),
    10,
  )
  await slow.closed.finally(() => clearInterval(reading))
  expect(bytes >= page.length).toBe(isWhole)
})

test('When many clients do not read a page, then they share its memory', async () => {
  const page = 'a'.repeat(2_000_000)
  const app = express().use(pageRoutes('/page', { title: 'Page', scripts: { 'big.js': page }, styles: {} }, unlimited))
  const url = await serve(app)
  await (await fetch(`${url}/page/big.js`)).text()
  const before = process.memoryUsage().arrayBuffers
  const sockets: Socket[] = []
  opened.servers[0]!.on('connection', (socket) => sockets.push(socket))
  await Promise.all(Array.from({ length: 50 }, () => client(url, GET('/page/big.js').repeat(10), 'paused')))
  await eventually('all responses to wait', async () => sockets.length === 50 && sockets.every(({ writableLength }) => writableLength > 0))
  expect(await (await fetch(`${url}/page/big.js`)).text()).toHaveLength(page.length)
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20_000_000)
})
