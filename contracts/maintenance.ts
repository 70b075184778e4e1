// Inputs and results of the scheduled workflows. Change them only by adding optional fields.

export interface RecoveryResult {
  /** Calls that were enqueued because one of their failed recordings was due. */
  due: number
  /** Calls that were enqueued because they waited without an open run. The name is kept because old histories contain it. */
  unowned: number
  /** Open runs whose workflow tasks fail. */
  stuck: number
  /** The query returned as many calls as its limit allows, so more may be left. */
  more?: boolean
}

export type PassRequest = { kind: 'regular' | 'nightly' } | BackfillWindow

interface BackfillWindow {
  kind: 'backfill'
  /** ISO 8601 */
  from: string
  to: string
}

/** One pass through Exotel's list of ended calls. */
export interface Pass {
  passId: string
  /** ISO 8601 */
  from: string
  to: string
}

/** Requests one page of Exotel's list of calls. `from` and `to` are at most a month apart, because Exotel serves no more. */
export interface ListRequest extends Pass {
  source: 'reconcile' | 'backfill'
  after?: string
}

export interface ListPage {
  calls: number
  unusable: number
  callsNew: number
  recordingsNew: number
  next?: string
  total?: number
  isPagingKnown: boolean
}

export interface PassEnd {
  passId: string
  pages: number
  callsSeen: number
  callsNew: number
  recordingsNew: number
  /** Irregularities that do not make the pass incomplete. */
  remark?: string
  /** Why the pass does not count. Absent: the pass is complete. */
  problem?: string
}

export interface BackfillRequest {
  /** ISO 8601 */
  from: string
  to: string
  /** A page is read only while fewer calls of the backfill are not concluded, so that live calls take precedence. */
  openAtMost: number
  waitScale: number
}

export interface RowsRequest {
  /** Id of the last row of the previous page. */
  after?: string
  sampled: boolean
}

export interface RowsPage {
  rows: number
  missing: number
  /**
   * Whether the result is trusted. False: so many objects are missing that nothing was changed. The name is kept because old histories
   * contain it.
   */
  believed: boolean
  last?: string
}

export interface ObjectsRequest {
  /** The last key of the previous page. */
  after?: string
}

export interface ObjectsPage {
  objects: number
  /** Objects that belong to no known call, or whose content differs from what their key says. They are not changed. */
  unknown: number
  adopted: number
  /** Objects that were deleted because their calls are erased. */
  deleted: number
  /** Objects whose keys do not have our format. They are counted and not changed. */
  foreign?: number
  /** Objects of calls whose recording is stored under another key. They are kept and not read. */
  surplus?: number
  /** Key of the last object of this page. Absent: this was the last page. */
  last?: string
}

export interface ObjectCheckResult extends Omit<ObjectsPage, 'last'> {
  rows: number
  missing: number
}

export interface ObjectCheckRequest {
  full: boolean
  /** These fields carry the progress of the previous run. */
  rowsDone?: boolean
  after?: string
  found?: ObjectCheckResult
}

/** In the order in which they are cleaned up. */
export const CLEAN_UP_KINDS = [
  'sessions',
  'blacklist',
  'resetTokens',
  'rateLimits',
  'webhookBodies',
  'signingKeys',
  'mails',
  'unverifiedAccounts',
] as const
export type CleanUpKind = (typeof CLEAN_UP_KINDS)[number]
/** Failure type of a kind whose SQL statements time out even for a single row. */
export const CLEAN_UP_TIMED_OUT = 'CleanUpTimedOut'
/** Failure type of a run in which at least one kind failed. */
export const CLEAN_UP_INCOMPLETE = 'CleanUpIncomplete'

/** The filters are in the row, because they can contain a phone number. */
export interface BulkRetryRequest {
  /** Of a row of `bulk_retries`. */
  id: string
}
