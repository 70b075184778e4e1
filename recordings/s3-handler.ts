// The HTTP handler of the SDK with a deadline for the whole request. The SDK's own timeouts restart with each byte.
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { Readable } from 'node:stream'
import { startDeadline, type Deadline } from '../platform/deadline.ts'
import { readStart } from '../platform/read-start.ts'

/** A request may take `baseMs` in total, and `msPerMb` for each MB that it sends. */
export interface RequestDeadline {
  baseMs: number
  msPerMb: number
}

type Handle = NodeHttpHandler['handle']
type Answer = Awaited<ReturnType<Handle>>

const MB = 1024 ** 2
const MAX_ERROR_BYTES = 64 * 1024

export class S3Handler extends NodeHttpHandler {
  readonly #deadline: RequestDeadline

  constructor(options: ConstructorParameters<typeof NodeHttpHandler>[0], deadline: RequestDeadline) {
    super(options)
    this.#deadline = deadline
  }

  /** The deadline includes the body of the response. Exception: the reader of an object limits the time for its body. */
  override async handle(...[request, options = {}]: Parameters<Handle>): Promise<Answer> {
    const { baseMs, msPerMb } = this.#deadline
    const deadline = startDeadline(baseMs + (Number(request.headers['content-length'] ?? 0) / MB) * msPerMb)
    try {
      const abortSignal = anyOf(deadline.signal, options.abortSignal)
      const { response } = await super.handle(request, { ...options, abortSignal })
      const body = response.body as Readable
      if (response.statusCode >= 300) response.body = await readError(body)
      if (response.statusCode >= 300 || request.query?.['x-id'] === 'GetObject') deadline.end()
      else limitBody(body, deadline)
      return { response }
    } catch (error) {
      deadline.end()
      throw deadline.signal.aborted ? deadline.signal.reason : error
    }
  }
}

function limitBody(body: Readable, { signal, end }: Deadline): void {
  signal.addEventListener('abort', () => body.destroy(signal.reason as Error))
  body.once('close', end)
}

/** Reads the whole body of an error, which is normally shorter than 1 kB. */
async function readError(body: Readable): Promise<Readable> {
  const start = await readStart(body, MAX_ERROR_BYTES)
  if (start.kind === 'broken') throw start.error
  if (start.kind === 'longer') throw new Error(`The body of an S3 error response is longer than the limit of ${MAX_ERROR_BYTES} bytes`)
  return Readable.from([start.bytes])
}

/** The SDK's type also allows the SDK's own abort signals. We only pass signals of Node. */
function anyOf(signal: AbortSignal, other: unknown): AbortSignal {
  return other instanceof AbortSignal ? AbortSignal.any([signal, other]) : signal
}
