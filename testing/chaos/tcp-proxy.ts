// A TCP proxy whose connections can be closed, stalled, slowed down, or broken in the middle of a response.
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { Transform } from 'node:stream'

export interface TcpProxy {
  port: number
  /** Closes all connections, and refuses new ones until {@link TcpProxy.restore}. */
  cut(): void
  /** Keeps the connections open, and forwards nothing until {@link TcpProxy.restore}. */
  stall(): void
  /** Delays each chunk of a response until {@link TcpProxy.restore}. */
  slow(delayMs: number): void
  /** Closes each connection after this many bytes of responses, until {@link TcpProxy.restore}. */
  breakAfter(bytes: number): void
  restore(): void
  close(): Promise<void>
}

export async function startTcpProxy(host: string, port: number): Promise<TcpProxy> {
  const pairs = new Set<[Socket, Socket]>()
  let state: 'open' | 'cut' | 'silent' = 'open'
  let delayMs = 0
  let bytesLeft = Infinity
  const server = createServer((incoming) => {
    if (state === 'cut') return void incoming.destroy()
    const outgoing = connect(port, host)
    const pair: [Socket, Socket] = [incoming, outgoing]
    pairs.add(pair)
    for (const socket of pair) {
      socket.on('error', () => {})
      socket.on('close', () => {
        pairs.delete(pair)
        for (const each of pair) each.destroy()
      })
    }
    incoming.pipe(outgoing)
    outgoing.pipe(disturbResponse(incoming)).pipe(incoming)
    if (state === 'silent') for (const socket of pair) socket.pause()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    cut() {
      state = 'cut'
      for (const [incoming] of pairs) incoming.destroy()
    },
    stall() {
      state = 'silent'
      for (const pair of pairs) for (const socket of pair) socket.pause()
    },
    slow: (ms) => void (delayMs = ms),
    breakAfter: (bytes) => void (bytesLeft = bytes),
    restore() {
      state = 'open'
      delayMs = 0
      bytesLeft = Infinity
      for (const pair of pairs) for (const socket of pair) socket.resume()
    },
    close: () =>
      new Promise((resolve) => {
        for (const pair of pairs) for (const socket of pair) socket.destroy()
        server.close(() => resolve())
      }),
  }

  function disturbResponse(incoming: Socket): Transform {
    let answered = 0
    return new Transform({
      transform(chunk: Buffer, _encoding, done) {
        answered += chunk.length
        if (answered > bytesLeft) return void incoming.destroy()
        if (delayMs === 0) done(null, chunk)
        else setTimeout(() => done(null, chunk), delayMs)
      },
    })
  }
}
