import { defineSignal, setHandler } from '@temporalio/workflow'
import { CALL_NEWS_SIGNAL } from './contracts/names.ts'
import type { CallNews, Conclusion, EndedCall } from './contracts/recording.ts'

const callNews = defineSignal<[CallNews]>(CALL_NEWS_SIGNAL)

/** What the run still has to do, and what is known of its call; filled by signals, the start's own among them. */
export interface Inbox {
  /** The next link; without one: look for a recording. */
  take(): { sourceUrl?: string }
  hasMore(): boolean
  /** Exotel's API named this link: it is in hand now, and a signal that names it brings nothing new. */
  claim(sourceUrl: string): string
  hasLink(): boolean
  /** True until anybody says that the call was answered. */
  unanswered(): boolean
  status(): string | undefined
  durationSeconds(): number | undefined
  /** When Exotel may still be preparing the recording, and from when on we count: end of the call, else our first news. */
  endedAtMs(): number | undefined
  concluded(conclusion: Conclusion): void
}

const UNANSWERED = new Set(['busy', 'no-answer', 'failed', 'canceled'])
/** An end so far off our own clock is nonsense, or a clock is wrong: then it counts as unknown. */
const BELIEVABLE_MS = { before: 200 * 24 * 3600_000, after: 15 * 60_000 }

export function openInbox(call: EndedCall): Inbox {
  const links: string[] = []
  const known = new Set<string>() // in the queue, in hand, or stored
  let inHand: { link: string; namedAgain: boolean } | undefined
  let news: Omit<CallNews, 'sourceUrls'> = {}
  let searched: 'never' | 'as unanswered' | 'in full' = 'never'

  setHandler(callNews, ({ sourceUrls, ...rest }) => {
    const answered = news.status === 'completed'
    news = { ...news, ...rest, ...(answered && { status: 'completed' }) }
    for (const link of sourceUrls) add(link)
  })

  return {
    take() {
      const sourceUrl = links.shift()
      if (sourceUrl !== undefined) return { sourceUrl: hold(sourceUrl) }
      searched = unanswered() ? 'as unanswered' : 'in full'
      return {}
    },
    hasMore: () => links.length > 0 || (known.size === 0 && searched === 'as unanswered' && !unanswered()),
    claim(sourceUrl) {
      known.add(sourceUrl)
      return hold(sourceUrl)
    },
    hasLink: () => links.length > 0,
    unanswered,
    status: () => news.status,
    durationSeconds: () => news.durationSeconds,
    endedAtMs() {
      const ended = news.endedAt === undefined ? Number.NaN : Date.parse(news.endedAt)
      const off = ended - Date.parse(call.arrivedAt)
      return off > -BELIEVABLE_MS.before && off < BELIEVABLE_MS.after ? ended : undefined
    },
    concluded({ sourceUrl, outcome }) {
      if (sourceUrl === undefined) return
      const namedAgain = inHand?.namedAgain
      inHand = undefined
      if (outcome.state === 'stored') return
      known.delete(sourceUrl) // whoever names it again wants it tried again
      if (namedAgain) add(sourceUrl)
    },
  }

  function hold(link: string): string {
    inHand = { link, namedAgain: false }
    return link
  }

  function add(link: string): void {
    if (inHand?.link === link) inHand.namedAgain = true
    if (known.has(link)) return
    known.add(link)
    links.push(link)
  }

  function unanswered(): boolean {
    return isUnanswered(news.status)
  }
}

/** A call that nobody took has no recording. */
export function isUnanswered(status: string | undefined): status is string {
  return status !== undefined && UNANSWERED.has(status)
}
