// The links to recordings that the run still has to transfer, each once.
import type { CallFacts } from './call-facts.ts'
import type { CarriedOver, LinkState, Outcome, SearchState } from '../contracts/recording.ts'
import { newRetryState } from './retry-state.ts'

export interface Inbox {
  /**
   * Queues the link, unless it is queued or stored already.
   * @param fromRecovery the row says that the recording is missing, so it is queued although this run has stored it; while it is being
   *   transferred it is not queued a second time
   */
  add(sourceUrl: string, options?: { fromRecovery: boolean }): void
  hasLinks(): boolean
  /** All queued links; each is in hand until it is concluded or put back. */
  takeLinks(): LinkState[]
  putBack(link: LinkState): void
  conclude(link: LinkState, outcome: Outcome): void
  /** An event has ended the call: an answer that Exotel gave before does not conclude the search. */
  addEnd(): void
  /** Exotel has to be asked, whatever the status of the call. */
  searchAgain(): void
  mustAsk(): boolean
  /**
   * No link was ever named, so Exotel has to be asked; again where a call that counted as unanswered was answered after all, and where
   * an event has ended the call since.
   */
  needsSearch(): boolean
  /** Ends that arrive from now on are not answered by this question. */
  noteRequest(): void
  concludeSearch(state: SearchState): void
  carryOver(): Pick<CarriedOver, 'links' | 'searched' | 'searchAgain'>
}

export function openInbox(facts: CallFacts, carried: CarriedOver | undefined): Inbox {
  const queued: LinkState[] = [...(carried?.links ?? [])]
  const inHand = new Map<string, { link: LinkState; namedAgain: boolean }>()
  const stored = new Set(carried?.concluded.flatMap(({ state, sourceUrl }) => (state === 'stored' && sourceUrl ? [sourceUrl] : [])))
  let namedAny = queued.length > 0 || (carried?.concluded ?? []).some(({ sourceUrl }) => sourceUrl !== undefined)
  let searched: SearchState = carried?.searched ?? 'never'
  let mustAsk = carried?.searchAgain ?? false
  let endedSinceQuestion = false

  return {
    add,
    hasLinks: () => queued.length > 0,
    takeLinks() {
      const links = queued.splice(0)
      for (const link of links) inHand.set(link.sourceUrl, { link, namedAgain: false })
      return links
    },
    putBack(link) {
      inHand.delete(link.sourceUrl)
      queued.push(link)
    },
    conclude({ sourceUrl }, { state }) {
      const namedAgain = inHand.get(sourceUrl)?.namedAgain
      inHand.delete(sourceUrl)
      if (state === 'stored') stored.add(sourceUrl)
      else if (namedAgain) add(sourceUrl) // a newer event may have brought a newer pre-signed link
    },
    addEnd() {
      endedSinceQuestion = true
      if (searched !== 'never') mustAsk = true
    },
    searchAgain: () => void (mustAsk = true),
    mustAsk: () => mustAsk,
    needsSearch: () => !namedAny && (searched === 'never' || mustAsk || (searched === 'unanswered' && !facts.unanswered())),
    noteRequest: () => void (endedSinceQuestion = false),
    concludeSearch(state) {
      searched = state
      mustAsk = state === 'asked' && endedSinceQuestion
    },
    carryOver: () => ({ links: queued, searched, ...(mustAsk && { searchAgain: true }) }),
  }

  function add(sourceUrl: string, { fromRecovery } = { fromRecovery: false }): void {
    namedAny = true
    const current = inHand.get(sourceUrl)
    if (current) return void (current.namedAgain ||= !fromRecovery)
    if (fromRecovery) stored.delete(sourceUrl)
    if (!stored.has(sourceUrl) && !queued.some((link) => link.sourceUrl === sourceUrl)) queued.push(newLink(sourceUrl))
  }
}

function newLink(sourceUrl: string): LinkState {
  return { sourceUrl, retry: newRetryState(), spools: [] }
}
