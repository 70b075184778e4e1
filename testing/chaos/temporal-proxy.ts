// A proxy for Temporal in which the starts of some workflows fail for some time, as if a history shard were unavailable. All other
// requests are forwarded unchanged.
import { connect, constants, createServer, type ClientHttp2Session, type Http2Session, type ServerHttp2Stream } from 'node:http2'
import type { IncomingHttpHeaders } from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { WorkflowFault } from './plan.ts'

export interface TemporalProxy {
  port: number
  close(): Promise<void>
}

const SIGNAL_WITH_START = '/temporal.api.workflowservice.v1.WorkflowService/SignalWithStartWorkflowExecution'
const UNAVAILABLE = '14'

/** @param workflowFaults faults by CallSid. Each starts with the first attempt to start the call's workflow */
export async function startTemporalProxy(address: string, workflowFaults: ReadonlyMap<string, WorkflowFault>): Promise<TemporalProxy> {
  const endsAt = new Map<string, number>()
  const upstreams = new Map<Http2Session, ClientHttp2Session>()
  const server = createServer()
  // One connection to Temporal for each client connection. If one ends, the other is closed, as without a proxy.
  server.on('session', (session) => {
    const upstream = connect(`http://${address}`)
    upstreams.set(session, upstream)
    for (const each of [session, upstream]) each.on('error', () => {})
    upstream.on('close', () => session.destroy())
    session.on('close', () => {
      upstreams.delete(session)
      upstream.destroy()
    })
  })
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {})
    const upstream = upstreams.get(stream.session!)
    if (!upstream) return stream.close(constants.NGHTTP2_REFUSED_STREAM)
    if (headers[':path'] !== SIGNAL_WITH_START) return void stream.pipe(forward(upstream, stream, headers))
    const chunks: Buffer[] = []
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('end', () => {
      const body = Buffer.concat(chunks)
      const fault = activeFault(body)
      if (fault === 'unavailable') return refuse(stream)
      if (fault === undefined) forward(upstream, stream, headers).end(body)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const session of upstreams.keys()) session.destroy()
      }),
  }

  /** The fault of the workflow whose id is in the request, as plain bytes. */
  function activeFault(body: Buffer): WorkflowFault['what'] | undefined {
    const callSid = /recording-([0-9a-f]{32})/.exec(body.toString('latin1'))?.[1]
    const fault = callSid === undefined ? undefined : workflowFaults.get(callSid)
    if (!fault) return undefined
    if (!endsAt.has(callSid!)) endsAt.set(callSid!, performance.now() + fault.forMs)
    return performance.now() < endsAt.get(callSid!)! ? fault.what : undefined
  }
}

/** Forwards the headers and the response. @returns the request to Temporal, to which the caller writes the body */
function forward(upstream: ClientHttp2Session, stream: ServerHttp2Stream, headers: IncomingHttpHeaders) {
  const onward = upstream.request(headers)
  let trailers: IncomingHttpHeaders = {}
  onward.on('error', () => {})
  onward.on('response', (answer, flags) => {
    if (stream.destroyed) return
    const last = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0
    stream.respond(answer, { endStream: last, waitForTrailers: !last })
    if (!last) onward.pipe(stream)
  })
  onward.on('trailers', (received) => (trailers = received))
  stream.on('wantTrailers', () => stream.sendTrailers(trailers))
  onward.on('close', () => {
    if (upstream.destroyed) stream.session?.destroy()
    else if (onward.rstCode !== constants.NGHTTP2_NO_ERROR) stream.close(onward.rstCode)
  })
  stream.on('close', () => onward.close(constants.NGHTTP2_CANCEL))
  return onward
}

function refuse(stream: ServerHttp2Stream): void {
  const headers = { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': UNAVAILABLE, 'grpc-message': 'shard unavailable' }
  stream.respond(headers, { endStream: true })
}
