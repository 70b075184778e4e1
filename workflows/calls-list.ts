// Reads Exotel's list of ended calls for the window of a pass. The window is read in portions of at most 28 days, because one request
// may cover a month at most, and each portion page by page.
import { isCancellation, setCurrentDetails } from '@temporalio/workflow'
import { failureIn } from './failure.ts'
import type { ListPage, ListRequest, Pass, PassEnd } from '../contracts/maintenance.ts'

/** The progress of a pass; also the input of the run that continues it. */
export interface ListProgress extends Omit<PassEnd, 'remark' | 'problem'> {
  /** Start of the current portion, and end of the window, ISO 8601. */
  from: string
  to: string
  /** Cursor of the next page in this portion. */
  after?: string
  /** In this portion: how many calls Exotel announced, and how many entries its pages had. `came`: kept because old histories contain it. */
  announced?: number
  came: number
  unusable: number
}

const PORTION_MS = 28 * 24 * 3600_000
/** After this many pages the run continues as new, so that its history stays short. */
const PAGES_IN_A_RUN = 200

export function startOf(pass: Pass): ListProgress {
  return { ...pass, came: 0, unusable: 0, pages: 0, callsSeen: 0, callsNew: 0, recordingsNew: 0 }
}

interface ListOptions {
  source: ListRequest['source']
  beforePage?: (progress: ListProgress) => Promise<void>
  /** Continues in another run from here. */
  resume: (progress: ListProgress) => Promise<never>
}

/**
 * Reads to the end of the window. After {@link PAGES_IN_A_RUN} pages, another run continues.
 * @returns the result of the pass; with a problem if calls may be missing from it
 */
export async function readList(
  start: ListProgress,
  readPage: (request: ListRequest) => Promise<ListPage>,
  { source, beforePage, resume }: ListOptions,
): Promise<PassEnd> {
  let progress = start
  const cursors = new Set<string>()
  for (let pages = 0; ; pages += 1) {
    if (pages === PAGES_IN_A_RUN) return resume(progress)
    await beforePage?.(progress)
    const to = portionEnd(progress)
    const { passId, from, after } = progress
    const request = { passId, source, from, to, ...(after !== undefined && { after }) }
    let page: ListPage
    try {
      page = await readPage(request)
    } catch (error) {
      if (isCancellation(error)) throw error
      return ended(progress, `A page cannot be read: ${failureIn(error).message}`)
    }
    progress = added(progress, page)
    setCurrentDetails(
      `Read ${progress.pages} pages with ${progress.callsSeen} calls; new: ${progress.callsNew} calls, ${progress.recordingsNew} recordings`,
    )
    const problem = gapIn(page, progress, cursors)
    if (problem !== undefined) return ended(progress, problem)
    if (page.next !== undefined) {
      cursors.add(page.next)
      progress = { ...progress, after: page.next }
    } else if (to === progress.to) return ended(progress)
    else progress = nextPortion(progress, to)
  }
}

function portionEnd({ from, to }: ListProgress): string {
  const endMs = Date.parse(from) + PORTION_MS
  return endMs >= Date.parse(to) ? to : new Date(endMs).toISOString()
}

/** Both portions contain the second at which one ends and the next starts, so that no call is skipped. */
function nextPortion(progress: ListProgress, from: string): ListProgress {
  const { passId, to, unusable, pages, callsSeen, callsNew, recordingsNew } = progress
  return { passId, from, to, came: 0, unusable, pages, callsSeen, callsNew, recordingsNew }
}

function added(progress: ListProgress, page: ListPage): ListProgress {
  const announced = progress.announced ?? page.total
  return {
    ...progress,
    ...(announced !== undefined && { announced }),
    came: progress.came + page.calls + page.unusable,
    unusable: progress.unusable + page.unusable,
    pages: progress.pages + 1,
    callsSeen: progress.callsSeen + page.calls,
    callsNew: progress.callsNew + page.callsNew,
    recordingsNew: progress.recordingsNew + page.recordingsNew,
  }
}

/** @returns why calls may be missing; undefined if none can be missing */
function gapIn(page: ListPage, { came, announced }: ListProgress, cursors: Set<string>): string | undefined {
  if (!page.isPagingKnown)
    return 'It is unknown whether another page of the list follows: Metadata or its NextPageUri is missing or cannot be read'
  if (page.next !== undefined) return cursors.has(page.next) ? 'The list leads back to a page that was already read' : undefined
  return announced !== undefined && came < announced ? `The list ended after ${came} of ${announced} calls` : undefined
}

function ended({ passId, pages, callsSeen, callsNew, recordingsNew, unusable }: ListProgress, problem?: string): PassEnd {
  return {
    passId,
    pages,
    callsSeen,
    callsNew,
    recordingsNew,
    ...(unusable > 0 && { remark: `${unusable} entries have no usable Sid` }),
    ...(problem !== undefined && { problem }),
  }
}
