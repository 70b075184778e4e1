// Requests that are pipelined, and bodies that arrive in small pieces.
import { afterEach, expect, test } from '@jest/globals'
import type { IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import express from 'express'
import { readBody } from '../../api/read-body.ts'
import { CONNECTION_LIMITS } from '../../platform/http-server.ts'
import { answerAtOnce, boundedServers, GET, POST_CHUNKED } from '../support/bounded-servers.ts'
import { eventually } from '../support/eventually.ts'
import { countAnswers, oneByteChunks } from '../support/raw-client.ts'

const { client, closeAll, serve } = boundedServers()
afterEach(closeAll)

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
