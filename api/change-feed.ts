// Sends listeners the CallSids of calls that have changed. All listeners of a process share one query, which runs only while there are
// listeners. It finds the changes of all processes.
import { changesSince, currentPosition, type Change, type ChangePosition } from '../calls/call-changes.ts'
import type { Database } from '../platform/database.ts'
import type { Logger } from '../platform/logger.ts'

export interface ChangeFeed {
  /**
   * @param listener gets 'stopped' once, after which nothing follows
   * @param from a position from an earlier `Changes`: the listener first gets the changes after it. Absent: only later changes
   * @returns a function that ends the subscription
   */
  subscribe(listener: ChangeListener, from?: ChangePosition): () => void
  /** For the shutdown of the process. */
  stop(): void
}

type ChangeListener = (changes: Changes | 'stopped') => void

export interface Changes {
  /** Undefined if there were too many to name: the listener has to read everything again. */
  callSids: string[] | undefined
  /** To continue after these changes, also with another process. */
  position: ChangePosition
}

export interface FeedSettings {
  pollMs: number
  /** A row is committed at most this long after its id was assigned: longer than `LONGEST_TRANSACTION_MS`. */
  overlapMs: number
  /** More changes at once are not named. */
  most: number
}

const FEED_SETTINGS: FeedSettings = { pollMs: 2000, overlapMs: 12_000, most: 2000 }

export function createChangeFeed(
  database: Database,
  logger: Logger,
  { pollMs, overlapMs, most }: FeedSettings = FEED_SETTINGS,
): ChangeFeed {
  const listeners = new Set<ChangeListener>()
  /** Positions of earlier polls. The first one is the newest that is older than `overlapMs`: everything after it is read again. */
  let polls: { atMs: number; position: ChangePosition }[] = []
  /** The rows after the first position that were sent to the listeners. */
  let sent = new Set<string>()
  let timer: NodeJS.Timeout | undefined
  let isStopped = false

  return {
    subscribe(listener, from) {
      if (isStopped) {
        setImmediate(listener, 'stopped')
        return () => {}
      }
      listeners.add(listener)
      timer ??= setTimeout(run, 0)
      if (from) void catchUp(listener, from)
      return () => void listeners.delete(listener)
    },
    stop() {
      isStopped = true
      clearTimeout(timer)
      for (const listener of listeners) listener('stopped')
      listeners.clear()
    },
  }

  async function run(): Promise<void> {
    await poll().catch((error: unknown) => logger.warn({ error }, 'Changes of calls cannot be read: trying again'))
    if (listeners.size > 0) {
      timer = setTimeout(run, pollMs)
      return
    }
    timer = undefined
    polls = []
    sent = new Set()
  }

  async function poll(): Promise<void> {
    const atMs = performance.now()
    const position = await currentPosition(database)
    polls.push({ atMs, position })
    while (polls.length > 1 && polls[1]!.atMs <= atMs - overlapMs) polls.shift()
    const first = polls[0]!.position
    const changes = await changesSince(database, first, most + 1)
    const fresh = changes.filter(({ row }) => !sent.has(row))
    sent = new Set(changes.map(({ row }) => row))
    if (fresh.length === 0) return
    const news = { callSids: changes.length > most ? undefined : callSidsOf(fresh), position: first }
    for (const listener of listeners) listener(news)
  }

  /** If a poll finds a change at the same time, the listener gets it twice. */
  async function catchUp(listener: ChangeListener, from: ChangePosition): Promise<void> {
    const changes = await changesSince(database, from, most + 1).catch(() => undefined)
    if (changes?.length === 0 || !listeners.has(listener)) return
    const isComplete = changes !== undefined && changes.length <= most
    listener({ callSids: isComplete ? callSidsOf(changes) : undefined, position: from })
  }
}

function callSidsOf(changes: Change[]): string[] {
  return [...new Set(changes.map(({ callSid }) => callSid))]
}
