import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { createHttpAgents, discardBody, httpGet, type HttpAgents, type HttpResponse } from '../../exotel/http-request.ts'
import { eventually } from '../support/eventually.ts'

type Connection = (socket: Socket) => unknown

/** A server that responds with raw bytes, which Node's own server would not send. */
interface RawServer {
  url: URL
  sockets: Socket[]
  requests: number
  close(): Promise<void>
}

let agents: HttpAgents
let server: RawServer | undefined
beforeEach(() => {
  agents = createHttpAgents()
})
afterEach(async () => {
  agents.destroy()
  await server?.close()
  server = undefined
})

/** @param onRequest called for each request after its head has arrived */
async function serve(onRequest: Connection): Promise<RawServer> {
  const raw = createServer({ allowHalfOpen: true }, (socket) => {
    started.sockets.push(socket)
    socket.on('error', () => {})
    socket.on('end', () => socket.end())
    let head = ''
    socket.on('data', (chunk) => {
      head += chunk.toString('latin1')
      if (!head.endsWith('\r\n\r\n')) return
      head = ''
      started.requests += 1
      onRequest(socket)
    })
  })
  raw.listen(0, '127.0.0.1')
  await once(raw, 'listening')
  const started: RawServer = {
    url: new URL(`http://127.0.0.1:${(raw.address() as AddressInfo).port}/r.mp3?a=1`),
    sockets: [],
    requests: 0,
    close: async () => {
      for (const socket of started.sockets) socket.destroy()
      raw.close()
      await once(raw, 'close')
    },
  }
  server = started
  return started
}

const get = (signal: AbortSignal = new AbortController().signal): Promise<HttpResponse> =>
  httpGet(server!.url, { headers: { 'x-test': 'yes' }, agents, signal })
const head = (...lines: string[]): string => `HTTP/1.1 200 OK\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`
const BYTES = randomBytes(1024 ** 2)
const chunked = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')])

/** Reads one chunk, and the next ones only after the server has sent everything and ended the connection. */
async function readSlowly(body: Readable, sent: () => boolean): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of body as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    await eventually('the server to end the connection', async () => sent())
    await nextTurn()
  }
  return Buffer.concat(chunks)
}

describe('When the server ends the connection while the reader is slower than the data', () => {
  test.each<[string, string, Buffer]>([
    ['with a length', head(`content-length: ${BYTES.length}`, 'connection: close'), BYTES],
    ['without a length', head('connection: close'), BYTES],
    ['in chunks', head('transfer-encoding: chunked', 'connection: close'), Buffer.concat([chunked(BYTES), Buffer.from('0\r\n\r\n')])],
  ])('then every byte arrives: %s', async (_how, start, body) => {
    let sent = false
    await serve((socket) => socket.write(start, () => socket.end(body, () => (sent = true))))
    for (let i = 0; i < 5; i += 1) {
      sent = false
      const response = await get()
      expect((await readSlowly(response.body, () => sent)).equals(BYTES)).toBe(true)
    }
  })
})

describe('When a body is truncated, then it fails and never looks complete:', () => {
  const part = BYTES.subarray(0, 1000)
  test.each<[string, Connection]>([
    ['shorter than its length', (socket) => socket.end(Buffer.concat([Buffer.from(head('content-length: 2000')), part]))],
    ['within a chunk', (socket) => socket.end(Buffer.concat([Buffer.from(`${head('transfer-encoding: chunked')}7d0\r\n`), part]))],
    ['between chunks', (socket) => socket.end(Buffer.concat([Buffer.from(head('transfer-encoding: chunked')), chunked(part)]))],
    ['a broken chunk', (socket) => socket.end(Buffer.concat([Buffer.from(head('transfer-encoding: chunked')), chunked(part), part]))],
    [
      'without a length, by a reset',
      (socket) =>
        socket.write(Buffer.concat([Buffer.from(head('connection: close')), part]), () => setTimeout(() => socket.resetAndDestroy(), 50)),
    ],
  ])('%s', async (_how, answer) => {
    await serve(answer)
    const { body } = await get()
    await expect(buffer(body)).rejects.toThrow()
  })
})

test('When a body fails before it is read, then its reader still gets the error, and no other listener is needed', async () => {
  await serve((socket) => socket.end(head('content-length: 2000')))
  const { body } = await get()
  await eventually('the body to fail', async () => body.destroyed)
  await expect(buffer(body)).rejects.toThrow()
})

describe('When the server has closed a keep-alive connection,', () => {
  /** Resets each connection at its second request. */
  const resetSecond = (onReset: Connection): Connection => {
    const used = new WeakSet<Socket>()
    return (socket) => {
      if (used.has(socket)) return onReset(socket)
      used.add(socket)
      return socket.write(head('content-length: 2') + 'ok')
    }
  }

  test('then the request is sent again at once on a new connection', async () => {
    await serve(resetSecond((socket) => socket.resetAndDestroy()))
    for (let i = 0; i < 4; i += 1) expect((await buffer((await get()).body)).toString()).toBe('ok')
    expect(server!.requests).toBeGreaterThan(4)
  })

  test('then a new connection that is closed in the same way is an error', async () => {
    await serve((socket) => socket.resetAndDestroy())
    await expect(get()).rejects.toThrow()
    expect(server!.requests).toBe(1)
  })

  test('then a request is not sent again after its response has started', async () => {
    await serve(resetSecond((socket) => socket.end(head('content-length: 9') + 'ok')))
    await buffer((await get()).body)
    const { body } = await get()
    await expect(buffer(body)).rejects.toThrow()
    expect(server!.requests).toBe(2)
  })
})

describe('When the server sends 1xx responses', () => {
  const EARLY_HINTS = 'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n'

  test('then a few of them are ignored', async () => {
    await serve((socket) => socket.write(`HTTP/1.1 100 Continue\r\n\r\n${EARLY_HINTS.repeat(5)}${head('content-length: 2')}ok`))
    expect(await get()).toMatchObject({ statusCode: 200 })
  })

  test('then many of them end the request', async () => {
    await serve((socket) => socket.write(EARLY_HINTS.repeat(1000)))
    await expect(get()).rejects.toThrow(/1xx/)
  })

  test('then slow ones do not extend the deadline', async () => {
    await serve((socket) => {
      const timer = setInterval(() => socket.write(EARLY_HINTS), 100)
      socket.on('close', () => clearInterval(timer))
    })
    await expect(get(AbortSignal.timeout(500))).rejects.toMatchObject({ name: 'TimeoutError' })
    await eventually('the connection to be closed', async () => server!.sockets.every(({ destroyed }) => destroyed))
  })

  test('then an unrequested 101 is an error', async () => {
    await serve((socket) => socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'))
    await expect(get()).rejects.toThrow()
  })
})

test('When the headers are too large, then the request fails', async () => {
  await serve((socket) => socket.write(head(`x-large: ${'x'.repeat(20_000)}`, 'content-length: 0')))
  await expect(get()).rejects.toMatchObject({ code: 'HPE_HEADER_OVERFLOW' })
})

test('When the response is a redirect with a compressed body, then both are left to the caller', async () => {
  const zipped = gzipSync('moved')
  const start = `HTTP/1.1 302 Found\r\nlocation: /other\r\ncontent-encoding: gzip\r\ncontent-length: ${zipped.length}\r\n\r\n`
  await serve((socket) => socket.write(Buffer.concat([Buffer.from(start), zipped])))
  const { statusCode, headers, body } = await get()
  expect([statusCode, headers.location]).toEqual([302, '/other'])
  expect((await buffer(body)).equals(zipped)).toBe(true)
  expect(server!.requests).toBe(1)
})

describe('When the signal aborts', () => {
  const stop = (): { controller: AbortController; reason: Error } => ({ controller: new AbortController(), reason: new Error('stop') })

  test('then a request without a response fails with its reason', async () => {
    const { controller, reason } = stop()
    await serve(() => controller.abort(reason))
    await expect(get(controller.signal)).rejects.toBe(reason)
    await expect(get(controller.signal)).rejects.toBe(reason)
    expect(server!.requests).toBe(1)
  })

  test('then a body that is being read fails with its reason', async () => {
    const { controller, reason } = stop()
    await serve((socket) => socket.write(`${head('content-length: 9')}ok`))
    const { body } = await get(controller.signal)
    body.once('data', () => controller.abort(reason))
    await expect(buffer(body)).rejects.toBe(reason)
  })

  test('then a response that has ended and the next request on its connection are not affected', async () => {
    const { controller, reason } = stop()
    await serve((socket) => socket.write(`${head('content-length: 2')}ok`))
    await buffer((await get(controller.signal)).body)
    const second = await get()
    controller.abort(reason)
    expect((await buffer(second.body)).toString()).toBe('ok')
    expect(server!.sockets).toHaveLength(1)
  })
})

describe('When a body is discarded', () => {
  test('then a short one leaves the connection open for the next request', async () => {
    await serve((socket) => socket.write(`${head('content-length: 2')}ok`))
    for (let i = 0; i < 3; i += 1) await discardBody((await get()).body)
    expect(server!.sockets).toHaveLength(1)
  })

  test.each<[string, Connection]>([
    ['endless', (socket) => socket.write(Buffer.concat([Buffer.from(head('connection: close')), BYTES]))],
    ['slow', (socket) => socket.write(`${head('content-length: 9')}ok`)],
  ])('then one that is %s closes the connection', async (_how, answer) => {
    await serve(answer)
    await discardBody((await get()).body)
    await eventually('the connection to be closed', async () => server!.sockets.every(({ destroyed }) => destroyed))
  })
})

test('When all addresses of a host refuse the connection, then the error contains ECONNREFUSED', async () => {
  const closed = await serve(() => {})
  const { port } = closed.url
  await closed.close()
  server = undefined
  const both = createHttpAgents((_hostname, _options, callback) =>
    callback(null, [
      { address: '127.0.0.1', family: 4 },
      { address: '127.0.0.2', family: 4 },
    ]),
  )
  const request = httpGet(new URL(`http://name.example:${port}/`), { headers: {}, agents: both, signal: new AbortController().signal })
  await expect(request).rejects.toThrow(/ECONNREFUSED/)
  both.destroy()
})
