// An HTTP client of bare sockets: sends what no honest library sends, and reads only when told.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export interface RawClient {
  socket: Socket
  /** Everything that was read so far. */
  received: () => string
  /** Resolves with everything that was read once the connection is closed, by whomever. */
  closed: Promise<string>
}

/** Connects from `localAddress`, sends, and reads unless `reading` is `paused`. */
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

/** Bytes for a body with `Transfer-Encoding: chunked`: each character is a chunk of its own. */
export function oneByteChunks(text: string): string {
  return `${text
    .split('')
    .map((character) => `1\r\n${character}\r\n`)
    .join('')}0\r\n\r\n`
}
