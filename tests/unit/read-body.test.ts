import { afterEach, expect, test } from '@jest/globals'
import express from 'express'
import { readBody } from '../../api/read-body.ts'
import { boundedServers } from '../support/bounded-servers.ts'
import { eventually } from '../support/eventually.ts'

const { client, closeAll, serve } = boundedServers()
afterEach(closeAll)

const MB = 1024 ** 2

test('When one client sends many large bodies one after another, then each is read, because its memory is released after the response', async () => {
  const app = express().use(async (request, response) => {
    const outcome = await readBody(request, response, MB).then(
      ({ length }) => length,
      (error: { code: string }) => error.code,
    )
    response.end(String(outcome))
  })
  const url = await serve(app)
  const outcomes = new Set<string>()
  for (let i = 0; i < 30; i += 1) outcomes.add(await (await fetch(url, { method: 'POST', body: Buffer.alloc(MB / 2) })).text())
  expect([...outcomes]).toEqual([String(MB / 2)])
})

test('When a client has disconnected before its body is read, then reading ends', async () => {
  let isHandled = false
  let outcome: unknown
  const app = express().use(async (request, response) => {
    isHandled = true
    request.on('error', () => {})
    await new Promise((resolve) => request.once('close', resolve))
    outcome = await readBody(request, response, MB).catch((error: { code: string }) => error.code)
  })
  const { socket } = await client(await serve(app), 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nthe beginning')
  await eventually('the request to arrive', async () => isHandled)
  socket.destroy()
  await eventually('reading to end', async () => outcome !== undefined, 2000)
  expect(outcome).toBe('bad_request')
})
