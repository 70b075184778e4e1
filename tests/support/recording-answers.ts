// Answers of a server that sends recordings.
import { eventually } from './eventually.ts'
import type { Answer } from './scripted-server.ts'

export type Headers = Record<string, string | number>

export const status =
  (code: number, headers: Record<string, string> = {}, body = ''): Answer =>
  (_request, response) =>
    response.writeHead(code, headers).end(body)

export const wholeOf =
  (bytes: Buffer | string, headers: Headers = {}): Answer =>
  (_request, response) =>
    response.writeHead(200, { 'content-length': bytes.length, ...headers }).end(bytes)

/** Responds 206 from the requested byte, whatever If-Range contains. */
export const restOf =
  (bytes: Buffer, headers: Headers, total: number | '*' = bytes.length): Answer =>
  (request, response) => {
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1])
    const range = { 'content-range': `bytes ${from}-${bytes.length - 1}/${total}`, 'content-length': bytes.length - from }
    response.writeHead(206, { ...range, ...headers }).end(bytes.subarray(from))
  }

/** Responds 200 and closes the connection after the client has the first `cut` bytes on its disk. */
export const beginningOf =
  (bytes: Buffer, cut: number, headers: Headers, bytesOnDisk: () => Promise<number>): Answer =>
  async (_request, response) => {
    response.writeHead(200, headers)
    response.write(bytes.subarray(0, cut))
    await eventually('the client to have the beginning', async () => (await bytesOnDisk()) === cut)
    response.destroy()
  }
