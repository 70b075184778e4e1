// How long connections stay open, and which connection of one client address a server closes when that address has its maximum.
import { afterEach, expect, test } from '@jest/globals'
import type { RequestListener } from 'node:http'
import { answerAtOnce, boundedServers, GET, POST_CHUNKED } from '../support/bounded-servers.ts'
import { eventually } from '../support/eventually.ts'
import type { RawClient } from '../support/raw-client.ts'

const { client, closeAll, opened, serve } = boundedServers()
afterEach(closeAll)

const isOpen = ({ socket }: RawClient): boolean => !socket.destroyed

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

test('When a response is sent, then its connection stays open for longer than the 60 s for which load balancers use it', async () => {
  const { headers } = await fetch(await serve(answerAtOnce))
  expect(Number(/timeout=(\d+)/.exec(headers.get('keep-alive') ?? '')?.[1])).toBeGreaterThan(60)
})

test('When a server is created, then headers may take 20 s to arrive, and a whole request 30 s', async () => {
  await serve(answerAtOnce)
  expect(opened.servers[0]).toMatchObject({ headersTimeout: 20_000, requestTimeout: 30_000 })
})
