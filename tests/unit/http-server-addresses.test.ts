// Which connection of which client address a server closes when it has its maximum of connections.
import { afterEach, describe, expect, test } from '@jest/globals'
import type { RequestListener, Server } from 'node:http'
import { CONNECTION_LIMITS, createBoundedServer, listenOn, type ConnectionLimits } from '../../platform/http-server.ts'
import { eventually } from '../support/eventually.ts'
import { rawClient, type RawClient } from '../support/raw-client.ts'

const opened: { servers: Server[]; clients: RawClient[] } = { servers: [], clients: [] }
afterEach(() => {
  for (const { socket } of opened.clients.splice(0)) socket.destroy()
  for (const server of opened.servers.splice(0)) server.close().closeAllConnections()
})

const PROXY = '127.0.0.99'
const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
const BODY_WITHOUT_END = 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc'
const isOpen = ({ socket }: RawClient): boolean => !socket.destroyed
const openOf = (all: RawClient[]): number => all.filter(isOpen).length

/** A server that never responds. `connect` resolves when the server has the connection and the request, if one was sent. */
async function serve(limits: Partial<ConnectionLimits>) {
  let connections = 0
  let requests = 0
  const handler: RequestListener = () => void (requests += 1)
  const isProxy = (address: string): boolean => address === PROXY
  const server = createBoundedServer(handler, { isProxy, limits: { ...CONNECTION_LIMITS, ...limits } })
  server.on('connection', () => (connections += 1))
  opened.servers.push(server)
  const url = `http://127.0.0.1:${await listenOn(server, { host: '127.0.0.1', port: 0 })}`

  async function connect(address: string, sent = GET): Promise<RawClient> {
    const before = { connections, requests }
    const client = await rawClient(url, sent, 'flowing', address)
    opened.clients.push(client)
    await eventually('the server to have the connection', async () => connections > before.connections)
    if (sent !== '') await eventually('the request or a rejection', async () => requests > before.requests || !isOpen(client))
    return client
  }
  async function connectMany(address: string, count: number, sent = GET): Promise<RawClient[]> {
    const all: RawClient[] = []
    for (let i = 0; i < count; i += 1) all.push(await connect(address, sent))
    return all
  }
  return { connect, connectMany }
}

// Other systems have no second loopback address.
const onLinux = process.platform === 'linux' ? describe : describe.skip

onLinux('When a server has its maximum of connections', () => {
  test('and four addresses hold all of them with requests in progress, then another address can connect', async () => {
    const { connect, connectMany } = await serve({ total: 8, perAddress: 2 })
    const held = await Promise.all(['127.0.0.2', '127.0.0.3', '127.0.0.4', '127.0.0.5'].map((address) => connectMany(address, 2)))
    const newcomer = await connect('127.0.0.6')
    await eventually('one to be closed', async () => openOf(held.flat()) === 7)
    expect(isOpen(newcomer)).toBe(true)
  })

  test('then connections of the address with the most are closed, first those that wait for their client', async () => {
    const { connect, connectMany } = await serve({ total: 6, perAddress: 4 })
    const few = await connectMany('127.0.0.2', 2, '')
    const answered = await connectMany('127.0.0.3', 2)
    const [unfinished] = await connectMany('127.0.0.3', 1, BODY_WITHOUT_END)
    const [idle] = await connectMany('127.0.0.3', 1, '')
    await connect('127.0.0.4')
    await unfinished!.closed
    await connect('127.0.0.4', '')
    await idle!.closed
    expect(openOf([...few, ...answered])).toBe(4)
  })

  test('then among connections with requests in progress, the oldest is closed', async () => {
    const { connect, connectMany } = await serve({ total: 4, perAddress: 3 })
    const [oldest, ...others] = await connectMany('127.0.0.2', 3)
    others.push(await connect('127.0.0.3'))
    others.push(await connect('127.0.0.4'))
    await oldest!.closed
    expect(openOf(others)).toBe(4)
  })

  test('then an address that holds as many as any other one cannot open another', async () => {
    const { connect, connectMany } = await serve({ total: 4, perAddress: 3 })
    const held = [...(await connectMany('127.0.0.2', 2)), ...(await connectMany('127.0.0.3', 2))]
    const refused = await connect('127.0.0.3')
    await refused.closed
    expect(openOf(held)).toBe(4)
  })

  test('then a proxy can connect as long as another address holds a connection, and requests of a proxy are not aborted', async () => {
    const { connect, connectMany } = await serve({ total: 4, perAddress: 3 })
    const ofProxy = await connectMany(PROXY, 3)
    const ofAddress = await connect('127.0.0.2')
    ofProxy.push(await connect(PROXY))
    await ofAddress.closed
    for (const address of [PROXY, '127.0.0.2']) await (await connect(address)).closed
    expect(openOf(ofProxy)).toBe(4)
  })

  test('then an idle connection of a proxy is closed for an address without connections', async () => {
    const { connect, connectMany } = await serve({ total: 3, perAddress: 3 })
    const [idle] = await connectMany(PROXY, 1, '')
    const answered = await connectMany(PROXY, 2)
    const newcomer = await connect('127.0.0.2')
    await idle!.closed
    expect(openOf([...answered, newcomer])).toBe(3)
  })
})
