// How the API's port handles unreadable requests, and how it drains.
import { afterEach, expect, test } from '@jest/globals'
import express, { type RequestHandler, type Response } from 'express'
import { listen, type ListeningServer } from '../../api/listen.ts'
import { eventually } from '../support/eventually.ts'
import { countAnswers, rawClient, type RawClient } from '../support/raw-client.ts'

/** Longer than the timeout of a test, so that a drain that waits for it fails. */
const GRACE_MS = 1_000_000
const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'

let servers: ListeningServer[] = []
let clients: RawClient[] = []
afterEach(async () => {
  for (const { socket } of clients) socket.destroy()
  for (const server of servers) await server.drain(0)
  clients = []
  servers = []
})

async function serve(handler: RequestHandler): Promise<{ server: ListeningServer; client: (sent: string) => Promise<RawClient> }> {
  const server = await listen(express().set('trust proxy', false).use(handler), { host: '127.0.0.1', port: 0 })
  servers.push(server)
  const client = async (sent: string): Promise<RawClient> => {
    const made = await rawClient(`http://127.0.0.1:${server.port}`, sent)
    clients.push(made)
    return made
  }
  return { server, client }
}

test('When garbage arrives in the middle of a response, then the connection ends without a second response', async () => {
  const { client } = await serve((_request, response) => void response.writeHead(200, { 'content-length': '100' }).write('the beginning'))
  const { socket, received, closed } = await client(GET)
  await eventually('the beginning', async () => received().endsWith('the beginning'))
  socket.write('garbage\r\n\r\n')
  expect(await closed).toMatch(/the beginning$/)
})

test('When garbage follows a request that has no response yet, then the connection ends without a response', async () => {
  const { client } = await serve(() => {})
  const { closed } = await client(`${GET}garbage\r\n\r\n`)
  expect(await closed).toBe('')
})

test.each([
  ['a request', 'garbage\r\n\r\n'],
  ['a body', 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\ngarbage\r\n'],
])('When garbage is sent as %s, then there is one response, a 400', async (_what, sent) => {
  const { client } = await serve(() => {})
  const { closed } = await client(sent)
  const answer = await closed
  expect([countAnswers(answer, 400), answer]).toEqual([1, expect.stringContaining('"code":"bad_request"')])
})

test.each([
  ['has sent nothing', ''],
  ['has sent a part of a request', 'GET / HTTP/1.1\r\nHost'],
])('When a connection %s, then it does not delay the drain', async (_what, sent) => {
  const { server, client } = await serve((_request, response) => void response.end('answer'))
  const waiting = await client(sent)
  const other = await client(GET) // accepted later than the first one
  await eventually('an answer', async () => other.received().endsWith('answer'))
  await server.drain(GRACE_MS)
  expect(await waiting.closed).toBe('')
})

test('When a request is in progress during the drain, then it gets the whole response', async () => {
  const responses: Response[] = []
  const { server, client } = await serve((_request, response) => void responses.push(response))
  const requesting = await client(GET)
  const silent = await client('')
  await eventually('the request to arrive', async () => responses.length === 1)
  const drained = server.drain(GRACE_MS)
  await silent.closed
  responses[0]!.end('answer')
  await drained
  expect(await requesting.closed).toMatch(/answer$/)
})
