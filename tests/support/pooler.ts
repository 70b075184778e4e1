import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

export interface Pooler {
  port: number
  close(): Promise<void>
}

/** Offset of the first parameter in a startup message: its length and the version of the protocol precede it. */
const PARAMETERS_AT = 8

/** Starts a proxy in front of PostgreSQL that ignores the startup options of its clients, as some connection poolers do. */
export async function startPooler(host: string, port: number): Promise<Pooler> {
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(port, host)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        client.destroy()
        upstream.destroy()
        sockets.delete(socket)
      })
    }
    client.once('data', (startup: Buffer) => {
      upstream.write(withoutOptions(startup))
      client.pipe(upstream)
    })
    upstream.pipe(client)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resolve())
      }),
  }
}

/** The parameters are names and values, each followed by a zero byte, and another zero byte at the end. */
function withoutOptions(startup: Buffer): Buffer {
  const words = startup.subarray(PARAMETERS_AT).toString().split('\0')
  const at = words.findIndex((word, index) => index % 2 === 0 && word === 'options')
  if (at !== -1) words.splice(at, 2)
  const changed = Buffer.concat([startup.subarray(0, PARAMETERS_AT), Buffer.from(words.join('\0'))])
  changed.writeInt32BE(changed.length)
  return changed
}
