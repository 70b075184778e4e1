import { createServer, request as send, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { servers } from './servers.ts'

/** A response with this status and error code (200: acknowledged but not stored), or a reset connection. */
type S3Fault = { status: number; code?: string } | { reset: true }

export interface FaultyS3 {
  url: string
  requests: { method: string; url: string; headers: IncomingMessage['headers'] }[]
  /** The next requests of this method fail with these faults, one each. Later requests succeed. */
  next(method: string, ...faults: S3Fault[]): void
  /** All requests of this method whose URL matches fail with this fault. */
  always(method: string, url: RegExp, fault: S3Fault): void
  /** The next request of this method whose URL matches waits until it is released. */
  hold(method: string, url?: RegExp): { reached: Promise<void>; release: () => void }
  /** The next responses to requests that list objects are rewritten by these functions, one each. */
  rewriteLists(...rewrites: ((xml: string) => string)[]): void
  /** HEAD does not find an object for this long after it was put. */
  hideNewMs: number
  /** Responses to HEAD and PUT have no ETag. */
  hideEtags: boolean
  /** Headers that responses to HEAD have instead of the store's own ones. Undefined removes a header. */
  headHeaders: Record<string, string | undefined>
  /** The store answers 501 to conditional requests. */
  withoutConditions: boolean
  /** Removes all faults and releases all held requests. */
  reset(): void
  close(): Promise<void>
}

/** Starts a proxy in front of the real S3 server of the test run. The proxy injects faults on demand. */
export async function startFaultyS3(): Promise<FaultyS3> {
  const target = new URL(servers.s3.endpoint)
  const faults = new Map<string, S3Fault[]>()
  const lasting: { method: string; url: RegExp; fault: S3Fault }[] = []
  const holds: { method: string; url: RegExp; wait: () => Promise<void> }[] = []
  const releases: (() => void)[] = []
  const shownAt = new Map<string, number>()
  const rewrites: ((xml: string) => string)[] = []
  const s3: FaultyS3 = {
    url: '',
    requests: [],
    next: (method, ...next) => void faults.set(method, next),
    always: (method, url, fault) => void lasting.push({ method, url, fault }),
    hold(method, url = /^/) {
      let reach = (): void => {}
      let release = (): void => {}
      const reached = new Promise<void>((resolve) => (reach = resolve))
      const released = new Promise<void>((resolve) => (release = resolve))
      holds.push({ method, url, wait: () => (reach(), released) })
      releases.push(release)
      return { reached, release }
    },
    rewriteLists: (...next) => void rewrites.splice(0, rewrites.length, ...next),
    hideNewMs: 0,
    hideEtags: false,
    headHeaders: {},
    withoutConditions: false,
    reset() {
      faults.clear()
      for (const list of [holds, lasting, rewrites, s3.requests]) list.length = 0
      for (const release of releases.splice(0)) release()
      Object.assign(s3, { hideNewMs: 0, hideEtags: false, headHeaders: {}, withoutConditions: false })
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  const server = createServer((request, response) => {
    s3.requests.push({ method: request.method!, url: request.url!, headers: request.headers })
    const path = request.url!.split('?')[0]!
    if (request.method === 'PUT') response.on('finish', () => shownAt.set(path, performance.now() + s3.hideNewMs))
    const isHidden = request.method === 'HEAD' && (shownAt.get(path) ?? 0) > performance.now()
    const fault = isHidden ? { status: 404 } : (faults.get(request.method!)?.shift() ?? lastingFault(request))
    if (fault) return fail(fault, request, response)
    const held = holds.findIndex(({ method, url }) => method === request.method && url.test(request.url!))
    if (held === -1) return forward(request, response)
    const [{ wait }] = holds.splice(held, 1) as [(typeof holds)[number]]
    void wait().then(() => forward(request, response))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  s3.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return s3

  function lastingFault({ method, url }: IncomingMessage): S3Fault | undefined {
    return lasting.find((each) => each.method === method && each.url.test(url!))?.fault
  }

  function fail(fault: S3Fault, request: IncomingMessage, response: ServerResponse): void {
    if ('reset' in fault) return void request.once('data', () => request.socket.destroy())
    request.resume().once('end', () => {
      const body = fault.code
        ? `<?xml version="1.0"?><Error><Code>${fault.code}</Code><Message>scripted for the key ${servers.s3.accessKeyId}</Message></Error>`
        : ''
      response.writeHead(fault.status, { 'content-type': 'application/xml' }).end(request.method === 'HEAD' ? undefined : body)
    })
  }

  /** Forwards the original Host header, because it is part of the signature. */
  function forward(request: IncomingMessage, response: ServerResponse): void {
    const isConditional = request.headers['if-match'] !== undefined || request.headers['if-none-match'] !== undefined
    if (s3.withoutConditions && isConditional) return fail({ status: 501, code: 'NotImplemented' }, request, response)
    const onward = send(
      { host: target.hostname, port: target.port, method: request.method, path: request.url, headers: request.headers },
      (answer) => {
        const rewrite = request.url!.includes('list-type=2') ? rewrites.shift() : undefined
        if (rewrite)
          return void text(answer).then((xml) => response.writeHead(200, { 'content-type': 'application/xml' }).end(rewrite(xml)))
        const headers = { ...answer.headers }
        if (s3.hideEtags && ['HEAD', 'PUT'].includes(request.method!)) replaceHeaders(headers, { etag: undefined })
        if (request.method === 'HEAD') replaceHeaders(headers, s3.headHeaders)
        response.writeHead(answer.statusCode!, headers)
        answer.pipe(response)
      },
    )
    onward.on('error', () => response.destroy())
    request.pipe(onward)
  }
}

function replaceHeaders(headers: IncomingMessage['headers'], replacements: Record<string, string | undefined>): void {
  Object.assign(headers, replacements)
  for (const [name, value] of Object.entries(replacements)) if (value === undefined) delete headers[name]
}
