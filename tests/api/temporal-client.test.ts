// The API's connection to Temporal, which all its users share.
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { openTemporal, type TemporalClient } from '../../temporal/client.ts'
import { readTemporalSettings } from '../../platform/config.ts'
import { eventually } from '../support/eventually.ts'
import { servers } from '../support/servers.ts'

let line: { port: number; opened: () => number; open: () => number; refuse: (refuses: boolean) => void; close: () => Promise<void> }
let temporal: TemporalClient
beforeEach(async () => {
  line = await startLine()
  temporal = open()
})
afterEach(async () => {
  await temporal.close()
  await line.close()
})

const open = (): TemporalClient => openTemporal(readTemporalSettings({ TEMPORAL_ADDRESS: `127.0.0.1:${line.port}` }))

test('When two callers request the client at the same time, then they share one connection', async () => {
  const [first, second] = await Promise.all([temporal.client(), temporal.client()])
  expect(second.connection).toBe(first.connection)
  expect((await temporal.client()).connection).toBe(first.connection)
  await Promise.all([first, second].map((client) => client.connection.workflowService.getSystemInfo({})))
  expect([line.opened(), line.open()]).toEqual([1, 1])
})

test('When the first attempt fails, then both callers get the error, connecting stops, and the next callers share one connection', async () => {
  line.refuse(true)
  const attempts = await Promise.allSettled([temporal.client(), temporal.client()])
  expect(attempts.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  line.refuse(false)
  const before = line.opened()
  const [first, second] = await Promise.all([temporal.client(), temporal.client()])
  expect(second.connection).toBe(first.connection)
  await first.connection.workflowService.getSystemInfo({})
  expect([line.opened() - before, line.open()]).toEqual([1, 1])
})

test('When the client is closed, then its connection is closed, and closing works after a failed attempt as well', async () => {
  await temporal.client()
  await temporal.close()
  await eventually('the connection to end', async () => line.open() === 0)
  const other = open()
  line.refuse(true)
  await expect(other.client()).rejects.toThrow()
  await expect(other.close()).resolves.toBeUndefined()
})

/** A TCP proxy to the real server that counts its connections. */
async function startLine(): Promise<typeof line> {
  const [host, port] = servers.temporal.address.split(':') as [string, string]
  const sockets = new Set<Socket>()
  let opened = 0
  let refuses = false
  const server: Server = createServer((incoming) => {
    opened += 1
    incoming.on('error', () => {})
    if (refuses) return void incoming.destroy()
    const outgoing = connect(Number(port), host)
    outgoing.on('error', () => {})
    sockets.add(incoming)
    incoming.on('close', () => {
      sockets.delete(incoming)
      outgoing.destroy()
    })
    outgoing.on('close', () => incoming.destroy())
    incoming.pipe(outgoing).pipe(incoming)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    opened: () => opened,
    open: () => sockets.size,
    refuse: (value) => void (refuses = value),
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resolve())
      }),
  }
}
