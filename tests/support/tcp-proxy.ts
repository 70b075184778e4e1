import { connect, createServer, type Socket } from 'node:net'
import type { AddressInfo } from 'node:net'

export interface TcpProxy {
  port: number
  /** Ends all connections; new ones are refused until {@link TcpProxy.mend}. */
  cut(): void
  /** Keeps the sockets and forwards nothing until {@link TcpProxy.mend}. */
  stall(): void
  mend(): void
  close(): Promise<void>
}

/** A line to a server that can be cut or made silent. */
export async function startTcpProxy(host: string, port: number): Promise<TcpProxy> {
  const pairs = new Set<[Socket, Socket]>()
  let state: 'open' | 'cut' | 'silent' = 'open'
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
    if (state === 'silent') for (const socket of pair) socket.pause()
    incoming.pipe(outgoing)
    outgoing.pipe(incoming)
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
    mend() {
      state = 'open'
      for (const pair of pairs) for (const socket of pair) socket.resume()
    },
    close: () =>
      new Promise((resolve) => {
        for (const pair of pairs) for (const socket of pair) socket.destroy()
        server.close(() => resolve())
      }),
  }
}
