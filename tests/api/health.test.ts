import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { connect } from 'node:net'
import { freePort } from '../../dev/ports.ts'
import { startBackend, type Backend } from '../support/backend.ts'
import { eventually } from '../support/eventually.ts'
import { PRODUCTION } from '../support/production.ts'

/** PostgreSQL and Temporal refuse connections; the worker waits for them. */
let backend: Backend
const ports = { api: 0, apiOperations: 0 }
beforeAll(async () => {
  const refusing = await freePort(0)
  backend = await startBackend({ start: [], databasePort: refusing, env: { TEMPORAL_ADDRESS: `127.0.0.1:${await freePort(0)}` } })
  Object.assign(ports, { api: Number(new URL(backend.apiUrl).port), apiOperations: await freePort(0) })
  backend.launch('api', { OPERATIONS_PORT: String(ports.apiOperations) })
  backend.launch('worker')
})
afterAll(() => backend?.stop())

/** Matches words in lower case, names of alarms, and times. Does not match sentences, hosts, paths or users. */
const CODE_OR_TIME = /^(?:[a-z]+|[A-Z][A-Za-z]+|\d{4}-\d\d-\d\dT[\d:.]+Z)$/

function textsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsIn) : []
}

describe('When PostgreSQL and Temporal are unavailable, then /health contains states, counts and codes only:', () => {
  test('the API', async () => {
    const health = await eventually('the relay to wait', async () => {
      const body = (await (await fetch(`${backend.apiUrl}/health`)).json()) as { relay: { state: string } }
      return body.relay.state === 'paused' && body
    })
    expect(health).toMatchObject({ status: 'degraded', database: 'unavailable', relay: { state: 'paused' } })
    expect(textsIn(health).filter((text) => !CODE_OR_TIME.test(text))).toEqual([])
    expect(backend.logs('api')).toMatch(/"alarm":"DatabaseUnavailable","reason":"[^"]+/)
  })

  test('the operations port of the API', async () => {
    const health: unknown = await (await fetch(`http://127.0.0.1:${ports.apiOperations}/health`)).json()
    expect(textsIn(health).filter((text) => !CODE_OR_TIME.test(text))).toEqual([])
  })

  test('the worker, and the reason of its alarm is in the log', async () => {
    const health = await eventually('an alarm', async () => {
      const body = (await (await fetch(backend.workerHealthUrl)).json()) as { alarms: { name: string }[] }
      return body.alarms.length > 0 && body
    })
    expect(health).toMatchObject({ alarms: [{ name: 'DatabaseUnavailable', since: expect.any(String) }], spool: { bytes: 0 } })
    expect(textsIn(health).filter((text) => !CODE_OR_TIME.test(text))).toEqual([])
    expect(backend.logs('worker')).toMatch(/"alarm":"DatabaseUnavailable","reason":"[^"]+/)
  })
})

const onLinux = process.platform === 'linux' ? test : test.skip // elsewhere a machine has one loopback address only
onLinux('When HOST is not set outside production, then other addresses of the machine refuse connections', async () => {
  const outcomes = await Promise.all([ports.api, ports.apiOperations].map((port) => tryToConnect('127.0.0.2', port)))
  expect(outcomes).toEqual(['ECONNREFUSED', 'ECONNREFUSED'])
})

onLinux('When HOST is set, then that address accepts connections', async () => {
  const port = await freePort(0)
  backend.launch('api', { PORT: String(port), OPERATIONS_PORT: '0', HOST: '0.0.0.0' })
  await eventually('another address to accept a connection', async () => (await tryToConnect('127.0.0.2', port)) === 'connected')
})

function tryToConnect(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, host)
    socket.on('connect', () => {
      resolve('connected')
      socket.destroy()
    })
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
  })
}

test.each([
  [{}, 404],
  [{ SERVE_DOCS: 'true' }, 200],
])('When production is started with %j, then the response for /docs is %i', async (env, status) => {
  const port = await freePort(0)
  backend.launch('api', { ...PRODUCTION, HOST: '127.0.0.1', PORT: String(port), OPERATIONS_PORT: '0', ...env })
  const response = await eventually('the API to respond', () => fetch(`http://127.0.0.1:${port}/docs`))
  expect(response.status).toBe(status)
})
