import { afterEach, describe, expect, test } from '@jest/globals'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import { duplexPair, type Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises'
import express, { type Request, type RequestHandler, type Response } from 'express'
import { pageRoutes } from '../../api/page.ts'
import { readBody } from '../../api/read-body.ts'
import { stopParsing } from '../../platform/http-parser.ts'
import { CONNECTION_LIMITS, createBoundedServer, listenOn, type ConnectionLimits } from '../../platform/http-server.ts'
import { eventually } from '../support/eventually.ts'
import { countAnswers, oneByteChunks, rawClient, type RawClient } from '../support/raw-client.ts'

const opened: { servers: Server[]; clients: RawClient[] } = { servers: [], clients: [] }
afterEach(() => {
  for (const { socket } of opened.clients.splice(0)) socket.destroy()
  for (const server of opened.servers.splice(0)) server.close().closeAllConnections()
})

async function serve(handler: RequestListener, limits: Partial<ConnectionLimits> = {}, isProxy = (_address: string) => false) {
  const server = createBoundedServer(handler, { isProxy, limits: { ...CONNECTION_LIMITS, ...limits } })
  opened.servers.push(server)
  return `http://127.0.0.1:${await listenOn(server, { host: '127.0.0.1', port: 0 })}`
}

async function client(url: string, sent: string | Buffer, reading: 'flowing' | 'paused' = 'flowing'): Promise<RawClient> {
  const made = await rawClient(url, sent, reading)
  opened.clients.push(made)
  return made
}

function connectionsOf(server: Server): Promise<number> {
  return new Promise((resolve) => server.getConnections((_error, count) => resolve(count)))
}

const POST_CHUNKED = 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n'
const GET = (path = '/') => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`
const answerAtOnce: RequestListener = (request, response) => void response.end(`answer to ${request.url}`)
const unlimited: RequestHandler = (_request, _response, next) => next()
const isOpen = ({ socket }: RawClient): boolean => !socket.destroyed

test('When requests are pipelined, then one is handled at a time, and responses keep their order', async () => {
  let running = 0
  let most = 0
  const url = await serve(async (request, response) => {
    running += 1
    most = Math.max(most, running)
    await pause(5)
    running -= 1
    response.end(`answer to ${request.url}`)
  })
  const { received } = await client(url, ['/a', '/b', '/c', '/d'].map(GET).join(''))
  await eventually('four responses', async () => countAnswers(received(), 200) === 4)
  expect(received().match(/answer to \/\w/g)).toEqual(['answer to /a', 'answer to /b', 'answer to /c', 'answer to /d'])
  expect(most).toBe(1)
})

test('When more requests are pipelined than the limit allows, then the connection is closed, and no more of them are handled', async () => {
  let handled = 0
  const url = await serve((_request, response) => {
    handled += 1
    response.end()
  })
  const { closed } = await client(url, GET().repeat(1200))
  expect(countAnswers(await closed, 200)).toBeLessThanOrEqual(CONNECTION_LIMITS.pipelined + 1)
  expect(handled).toBeLessThanOrEqual(CONNECTION_LIMITS.pipelined + 1)
})

test.each([
  ['with Content-Length', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc'],
  ['in chunks', `${POST_CHUNKED}3\r\nabc\r\n0\r\n\r\n`],
  ['of a GET', 'GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc'],
  ['that waits for 100 Continue', 'POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n'],
])('When a request with a body %s follows a request in progress, then the connection is closed', async (_what, second) => {
  let handled = 0
  const url = await serve(() => void (handled += 1))
  const { closed } = await client(url, GET() + second)
  await closed
  expect(handled).toBe(1)
})

test('When a request with an empty body follows a request in progress, then both get a response', async () => {
  const url = await serve(answerAtOnce)
  const { received } = await client(url, `${GET('/a')}POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n`)
  await eventually('two responses', async () => received().includes('answer to /b'))
})

test('When an unread body arrives in very small pieces, then few of them are kept, and the connection is closed', async () => {
  const requests: IncomingMessage[] = []
  const url = await serve((request) => void requests.push(request))
  const { closed } = await client(url, POST_CHUNKED + oneByteChunks(' '.repeat(5000)))
  await closed
  expect(requests.map(({ readableLength }) => readableLength <= 130)).toEqual([true])
})

test('When an unread body arrives in pieces of 64 bytes, then few of them are kept, and the connection is closed', async () => {
  const requests: IncomingMessage[] = []
  const url = await serve((request) => void requests.push(request))
  const { closed } = await client(url, POST_CHUNKED + `40\r\n${' '.repeat(64)}\r\n`.repeat(900))
  await closed
  expect(requests.map(({ readableLength }) => readableLength <= 64 * 150)).toEqual([true])
})

test('When a connection is closed because of small pieces, then the rest of the packet is not parsed, and later bodies are complete', async () => {
  let pieces = 0
  const url = await serve(async (request, response) => {
    if (request.url === '/later') return void response.end((await text(request)).toUpperCase())
    const push = request.push.bind(request)
    request.push = (piece: Buffer | null) => {
      pieces += 1
      return push(piece)
    }
  })
  const many = await Promise.all(Array.from({ length: 5 }, () => client(url, POST_CHUNKED + oneByteChunks(' '.repeat(5000)))))
  await Promise.all(many.map(({ closed }) => closed))
  expect(pieces).toBeLessThan(5 * 134)
  const later = await Promise.all(
    Array.from({ length: 20 }, () => client(url, POST_CHUNKED.replace('/', '/later') + oneByteChunks('abcdef'))),
  )
  await eventually('all bodies', async () => later.every(({ received }) => received().endsWith('ABCDEF')))
})

test('When a body that is read arrives in very small pieces, then it never ends', async () => {
  let pieces = 0
  let ended = 0
  let requestsClosed = 0
  const url = await serve((request) => {
    request.on('data', () => (pieces += 1))
    request.on('end', () => (ended += 1))
    request.on('close', () => (requestsClosed += 1))
  })
  const { closed } = await client(url, POST_CHUNKED + oneByteChunks(' '.repeat(5000)))
  await closed
  await eventually('the request to be closed', async () => requestsClosed === 1)
  expect({ ended, few: pieces <= 130 }).toEqual({ ended: 0, few: true })
})

test('When a body arrives in few small pieces or in many larger ones, then it is read completely, and no piece is kept', async () => {
  const app = express().use(async (request, response) => {
    const reading = readBody(request, response, 100_000)
    request.on('data', (piece: Buffer) => piece.fill('-')) // after it was read
    response.end(`read ${(await reading).toString()}`)
  })
  const url = await serve(app)
  const small = await client(url, POST_CHUNKED + oneByteChunks('abcdefgh'.repeat(8)))
  await eventually('the first body', async () => small.received().endsWith(`read ${'abcdefgh'.repeat(8)}`))
  const larger = await client(url, `${POST_CHUNKED}${`200\r\n${'abcdefgh'.repeat(64)}\r\n`.repeat(190)}0\r\n\r\n`)
  await eventually('the second body', async () => larger.received().endsWith(`read ${'abcdefgh'.repeat(64 * 190)}`))
})

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

test('When an address has its maximum of connections, then the connection that was idle longest is closed', async () => {
  const url = await serve(answerAtOnce, { perAddress: 3 })
  const [first, second, third] = [await client(url, ''), await client(url, ''), await client(url, 'GET / HTTP/1.1\r\n')]
  const fourth = await client(url, GET('/4'))
  await first.closed
  await eventually('a response to the fourth', async () => fourth.received().includes('answer to /4'))
  const fifth = await client(url, GET('/5'))
  await second.closed
  await eventually('a response to the fifth', async () => fifth.received().includes('answer to /5'))
  expect([third, fourth, fifth].every(isOpen)).toBe(true)
})

test('When a connection was just used, then others are closed before it', async () => {
  const url = await serve(answerAtOnce, { perAddress: 2 })
  const [used, unused] = [await client(url, ''), await client(url, '')]
  used.socket.write(GET('/used'))
  await eventually('an answer', async () => used.received().includes('answer to /used'))
  await client(url, GET())
  await unused.closed
  expect(isOpen(used)).toBe(true)
})

/** A handler that never responds, and a function that waits until it has `count` requests. */
function silentHandler(): { handler: RequestListener; handles: (count: number) => Promise<unknown> } {
  let requests = 0
  const handles = (count: number) => eventually(`${count} requests to be handled`, async () => requests === count)
  return { handler: () => void (requests += 1), handles }
}

test('When a body never ends, then its connection is closed, and one with a request in progress is not', async () => {
  const { handler, handles } = silentHandler()
  const url = await serve(handler, { perAddress: 2 })
  const unfinished = await client(url, 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc')
  await handles(1)
  const answered = [await client(url, GET())]
  await handles(2)
  answered.push(await client(url, GET()))
  await unfinished.closed
  await handles(3)
  const refused = await client(url, GET())
  await refused.closed
  expect(answered.every(isOpen)).toBe(true)
})

test.each([
  ['with Content-Length', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n', 'abc'],
  ['in chunks', POST_CHUNKED, '3\r\nabc\r\n0\r\n\r\n'],
])('When a body %s has arrived completely, read or not, then its connection is not closed for another', async (_how, head, body) => {
  const { handler, handles } = silentHandler()
  const ended: Promise<unknown>[] = []
  const url = await serve(
    (request, response) => {
      ended.push(eventually('the whole body', async () => request.complete))
      handler(request, response)
    },
    { perAddress: 1 },
  )
  const answered = await client(url, head)
  await handles(1)
  answered.socket.write(body)
  await Promise.all(ended)
  const refused = await client(url, GET())
  await refused.closed
  expect(isOpen(answered)).toBe(true)
})

test('When connections come from a trusted proxy, then only their total is limited', async () => {
  const { handler, handles } = silentHandler()
  const url = await serve(handler, { perAddress: 2, total: 4 }, (address) => address === '127.0.0.1')
  const all = await Promise.all(Array.from({ length: 4 }, () => client(url, GET())))
  await handles(4)
  const refused = await client(url, GET())
  await refused.closed
  expect(all.every(isOpen)).toBe(true)
})
