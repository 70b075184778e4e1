// The queue of links to recordings that the run still has to transfer. Each link is in it at most once.
import type { CallFacts } from './call-facts.ts'
import type { CarriedOver, LinkState, Outcome, SearchState } from '../contracts/recording.ts'
import { newRetryState } from './retry-state.ts'

export interface Inbox {
  /**
   * Queues the link, unless it is already queued or stored. A link that is being transferred is queued again afterwards if it is not stored.
   * @param fromRecovery the row says that the recording is missing, so the link is queued even if this run has stored it; a link that is
   *   being transferred is not queued again
   */
  add(sourceUrl: string, options?: { fromRecovery: boolean }): void
  hasLinks(): boolean
  /** Takes all queued links. Each is in progress until it is concluded or put back. */
  takeLinks(): LinkState[]
  putBack(link: LinkState): void
  conclude(link: LinkState, outcome: Outcome): void
  /**
   * Records that an event has ended the call. If the newest request for Call Details was sent before this event, the outcome of the search
   * is still written, but another search follows.
   */
  addEnd(): void
  /** Records that Call Details have to be requested, whatever the status of the call is. */
  searchAgain(): void
  mustRequest(): boolean
  /**
   * No link has ever arrived, so Call Details have to be requested. They are requested again if a call that counted as unanswered was
   * answered after all, or if an event has ended the call since the last request.
   */
  needsSearch(): boolean
  /** Records that a request is sent now. It does not cover ends of the call that arrive later. */
  noteRequest(): void
  concludeSearch(state: SearchState): void
  carryOver(): Pick<CarriedOver, 'links' | 'searched' | 'searchAgain'>
}

export function openInbox(facts: CallFacts, carried: CarriedOver | undefined): Inbox {
  const queued: LinkState[] = [...(carried?.links ?? [])]
  /** `signaledAgain`: an event (except one of recovery) or Exotel has named the link since its transfer started. */
  const inProgress = new Map<string, { link: LinkState; signaledAgain: boolean }>()
  const stored = new Set(carried?.concluded.flatMap(({ state, sourceUrl }) => (state === 'stored' && sourceUrl ? [sourceUrl] : [])))
  let hadLink = queued.length > 0 || (carried?.concluded ?? []).some(({ sourceUrl }) => sourceUrl !== undefined)
  let searched: SearchState = carried?.searched ?? 'never'
  let mustRequest = carried?.searchAgain ?? false
  let endedSinceRequest = false

  return {
    add,
    hasLinks: () => queued.length > 0,
    takeLinks() {
      const links = queued.splice(0)
      for (const link of links) inProgress.set(link.sourceUrl, { link, signaledAgain: false })
      return links
    },
    putBack(link) {
      inProgress.delete(link.sourceUrl)
      queued.push(link)
    },
    conclude({ sourceUrl }, { state }) {
      const signaledAgain = inProgress.get(sourceUrl)?.signaledAgain
      inProgress.delete(sourceUrl)
      if (state === 'stored') stored.add(sourceUrl)
      else if (signaledAgain) add(sourceUrl) // a newer event may have contained a newer pre-signed link
    },
    addEnd() {
      endedSinceRequest = true
      if (searched !== 'never') mustRequest = true
    },
    searchAgain: () => void (mustRequest = true),
    mustRequest: () => mustRequest,
    needsSearch: () => !hadLink && (searched === 'never' || mustRequest || (searched === 'unanswered' && !facts.unanswered())),
    noteRequest: () => void (endedSinceRequest = false),
    concludeSearch(state) {
      searched = state
      mustRequest = state === 'asked' && endedSinceRequest
    },
    carryOver: () => ({ links: queued, searched, ...(mustRequest && { searchAgain: true }) }),
  }

  function add(sourceUrl: string, { fromRecovery } = { fromRecovery: false }): void {
    hadLink = true
    const current = inProgress.get(sourceUrl)
    if (current) return void (current.signaledAgain ||= !fromRecovery)
    if (fromRecovery) stored.delete(sourceUrl)
    if (!stored.has(sourceUrl) && !queued.some((link) => link.sourceUrl === sourceUrl)) queued.push(newLink(sourceUrl))
  }
}

function newLink(sourceUrl: string): LinkState {
  return { sourceUrl, retry: newRetryState(), spools: [] }
}
