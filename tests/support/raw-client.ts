// An HTTP client on plain sockets: it can send invalid requests, and it reads only if a test wants it.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export interface RawClient {
  socket: Socket
  /** Everything that has been read so far. */
  received: () => string
  /** Resolves when either side has closed the connection, with everything that was read. */
  closed: Promise<string>
}

/** Connects from `localAddress` and sends. Reads unless `reading` is `paused`. */
export async function rawClient(
  url: string,
  sent: string | Buffer,
  reading: 'flowing' | 'paused' = 'flowing',
  localAddress?: string,
): Promise<RawClient> {
  const { hostname, port } = new URL(url)
  const socket = connect({ port: Number(port), host: hostname, ...(localAddress !== undefined && { localAddress }) })
  let text = ''
  const closed = new Promise<string>((resolve) => socket.on('close', () => resolve(text)))
  socket.on('error', () => {})
  if (reading === 'flowing') socket.on('data', (data) => (text += data.toString('latin1')))
  await once(socket, 'connect')
  socket.write(sent)
  return { socket, received: () => text, closed }
}

export function countAnswers(text: string, status: number): number {
  return text.split(`HTTP/1.1 ${status} `).length - 1
}

/** A body with `Transfer-Encoding: chunked` in which each character is a separate chunk. */
export function oneByteChunks(text: string): string {
  return `${text
    .split('')
    .map((character) => `1\r\n${character}\r\n`)
    .join('')}0\r\n\r\n`
}
