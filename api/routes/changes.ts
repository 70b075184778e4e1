// Server-sent events: tells browsers which calls have changed.
import type { Request, Response } from 'express'
import { z } from 'zod'
import type { AccountsContext } from '../../accounts/context.ts'
import { includesRole, type Role } from '../../accounts/roles.ts'
import { rolesOfSessions } from '../../accounts/sessions.ts'
import type { ChangePosition } from '../../calls/call-changes.ts'
import type { Logger } from '../../platform/logger.ts'
import { gauge } from '../../platform/metrics.ts'
import { problem } from '../../platform/http-problems.ts'
import type { ChangeFeed, Changes } from '../change-feed.ts'
import type { Limits } from '../limits.ts'
import { identityOf } from '../middleware/authenticate.ts'
import { requireRole } from '../middleware/require-role.ts'
import { operation, type Operation } from '../operation.ts'

export interface ChangeRoutesDependencies {
  accounts: AccountsContext
  limits: Limits
  logger: Logger
  changeFeed: ChangeFeed
}

/** The role that reads changes. It is verified again while a stream is open. */
const NEEDED_ROLE: Role = 'viewer'
/** Well below the idle timeout of proxies, which is often 60 s. */
const HEARTBEAT_MS = 15_000
/** How soon a stream ends after its session has ended or its role was lost. */
const CHECK_MS = 5000
/** A client reconnects after this time. So a connection that was lost without notice does not stay for longer. */
const LIFETIME_MS = 10 * 60_000
const RECONNECT_MS = 3000
/** A browser needs one for all its tabs. */
const MOST_PER_SESSION = 10
const MOST_STREAMS = 1000
/** Some proxies pass nothing on before they have this much. */
const PADDING = `:${' '.repeat(2048)}\n\n`

const openStreams = gauge('change_streams', 'Open streams of server-sent events')

interface Stream {
  sessionId: string
  send(text: string): void
  end(): void
}

export function changeOperations(deps: ChangeRoutesDependencies): Operation[] {
  const { accounts, limits } = deps
  const streams = createStreams(deps)
  return [
    operation({
      method: 'get',
      path: '/api/operations/changes',
      tag: 'operations',
      summary: 'Server-sent events `calls` (`{"callSids": [...]}`) and `reload` (`{}`: too much has changed to name it)',
      security: 'user',
      role: NEEDED_ROLE,
      guards: [limits.perAddress('general'), requireRole(accounts, NEEDED_ROLE)],
      query: z.strictObject({ from: position.optional().meta({ description: 'Id of the last event that is known, like Last-Event-ID' }) }),
      statuses: [200],
      content: ['text/event-stream'],
      problems: ['busy'],
      async handle(_body, request, response, { query }) {
        const last = position.safeParse(request.get('last-event-id'))
        streams.open(request, response, last.data ?? query.from)
      },
    }),
  ]
}

/** `<event>.<conclusion>` */
const position = z
  .string()
  .regex(/^\d{1,18}\.\d{1,18}$/, 'must be the id of an event')
  .transform((text): ChangePosition => {
    const [event, conclusion] = text.split('.') as [string, string]
    return { event: BigInt(event), conclusion: BigInt(conclusion) }
  })

function createStreams({ accounts, changeFeed, logger }: ChangeRoutesDependencies) {
  const open = new Set<Stream>()
  let timer: NodeJS.Timeout | undefined
  return {
    /** @throws {Problem} `busy` */
    open(request: Request, response: Response, from: ChangePosition | undefined): void {
      if (open.size >= MOST_STREAMS) throw problem('busy', 'Too many streams are open', { 'Retry-After': '30' })
      const { sessionId } = identityOf(response)
      const own = [...open].filter((stream) => stream.sessionId === sessionId)
      if (own.length >= MOST_PER_SESSION) own[0]!.end()
      // `no-transform` and the last header keep proxies from compressing or collecting the events.
      response.set({ 'content-type': 'text/event-stream', 'cache-control': 'no-store, no-transform', 'x-accel-buffering': 'no' })
      if (request.method === 'HEAD') return void response.end()
      const stream: Stream = { sessionId, send: (text) => void response.write(text), end: () => void response.end() }
      const unsubscribe = changeFeed.subscribe((changes) => (changes === 'stopped' ? stream.end() : stream.send(eventOf(changes))), from)
      const heartbeat = setInterval(() => stream.send(': heartbeat\n\n'), HEARTBEAT_MS)
      const lifetime = setTimeout(() => stream.end(), LIFETIME_MS)
      open.add(stream)
      openStreams.set(open.size)
      timer ??= setInterval(() => void endUnauthorized(), CHECK_MS)
      response.once('close', () => {
        unsubscribe()
        clearInterval(heartbeat)
        clearTimeout(lifetime)
        open.delete(stream)
        openStreams.set(open.size)
        if (open.size > 0) return
        clearInterval(timer)
        timer = undefined
      })
      stream.send(`retry: ${RECONNECT_MS}\n${PADDING}`)
    },
  }

  async function endUnauthorized(): Promise<void> {
    try {
      const roles = await rolesOfSessions(accounts.database, [...new Set([...open].map(({ sessionId }) => sessionId))])
      for (const stream of open) {
        const role = roles.get(stream.sessionId)
        if (role === undefined || !includesRole(role, NEEDED_ROLE)) stream.end()
      }
    } catch (error) {
      logger.warn({ error }, 'Sessions of open streams cannot be checked: the streams end')
      for (const stream of open) stream.end()
    }
  }
}

function eventOf({ callSids, position: { event, conclusion } }: Changes): string {
  const [name, data] = callSids ? ['calls', { callSids }] : ['reload', {}]
  return `id: ${event}.${conclusion}\nevent: ${name}\ndata: ${JSON.stringify(data)}\n\n`
}
