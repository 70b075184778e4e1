import express, { type Express, type RequestHandler } from 'express'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { Server } from 'node:http'
import { afterEach, describe, expect, test } from '@jest/globals'
import { pino } from 'pino'
import { dropBody, dropBodyOfReads } from '../../api/middleware/unwanted-body.ts'
import { requireWebhookAuth } from '../../api/middleware/require-webhook-auth.ts'
import { createBoundedServer, listenOn } from '../../platform/http-server.ts'
import { eventually } from '../support/eventually.ts'

const BODY = 'x'.repeat(60_000)

let server: Server
let socket: Socket
afterEach(async () => {
  socket?.destroy()
  server.close()
  await once(server, 'close')
})

/** A limit that does not decide until the test resumes it. */
const held: { request: express.Request; resumeRelay: () => void }[] = []
const slowLimit: RequestHandler = (request, _response, next) => void held.push({ request, resumeRelay: () => next() })

async function send(app: Express, method: string, path: string): Promise<(typeof held)[number]> {
  server = createBoundedServer(app)
  const port = await listenOn(server, { host: '127.0.0.1', port: 0 })
  held.length = 0
  socket = connect(port, '127.0.0.1')
  socket.write(`${method} ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`)
  return eventually('the limit to be reached', async () => held[0])
}

function appWith(...handlers: RequestHandler[]): Express {
  const app = express()
  app.use(...handlers, (_request: express.Request, response: express.Response) => void response.status(404).end('gone'))
  return app
}

describe('When counting a limit takes long, then a body that no handler reads does not stay in memory:', () => {
  const webhooks = requireWebhookAuth(
    { addresses: [], signatureSecrets: ['a secret'], timestamp: 'enforce' },
    { logger: pino({ level: 'silent' }), refusalLimit: slowLimit },
  )
  test.each<[string, Express, string]>([
    ['of a path that does not exist', appWith(dropBody, slowLimit), 'POST'],
    ['of a GET', appWith(dropBodyOfReads, slowLimit), 'GET'],
    ['of a webhook without credentials', appWith(webhooks), 'POST'],
    ['of a webhook with another method', appWith(webhooks), 'PUT'],
  ])('%s', async (_what, app, method) => {
    const { request, resumeRelay } = await send(app, method, '/x')
    await eventually('the body to be discarded', async () => request.complete && request.readableLength === 0)
    resumeRelay()
    const [answer] = (await once(socket, 'data')) as [Buffer]
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 4\d\d /)
  })

  test('a body that a handler reads is kept', async () => {
    const { request } = await send(appWith(dropBodyOfReads, slowLimit), 'POST', '/x')
    await eventually('a part of it to arrive', async () => request.readableLength > 0)
    expect(request.readableFlowing).not.toBe(true)
  })
})
