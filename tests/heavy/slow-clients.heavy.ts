// Clients that keep a connection open and never complete their request. The test takes as long as the server's timeouts.
import { connect } from 'node:net'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { startBackend, type Backend } from '../support/backend.ts'

let backend: Backend
beforeAll(async () => {
  backend = await startBackend({ start: ['api'] })
})
afterAll(() => backend?.stop())

test.each([
  ['headers', 'GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: '],
  ['body', 'POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{"email":"'],
])(
  'When the %s of requests never end, then the server closes the connections, and serves other clients meanwhile',
  async (_what, opening) => {
    const slow = Array.from({ length: 200 }, () => {
      const socket = connect(Number(new URL(backend.apiUrl).port), '127.0.0.1')
      socket.on('error', () => {})
      socket.write(opening)
      const drip = setInterval(() => socket.write('a'), 1000)
      return new Promise<void>((resolve) => socket.on('close', () => (clearInterval(drip), resolve())))
    })
    expect((await fetch(`${backend.apiUrl}/health/ready`)).status).toBe(200)
    await Promise.all(slow)
  },
)
