// Inputs and results of the scheduled workflows. Change them only by adding optional fields.

export interface RecoveryResult {
  /** Calls begun anew because a failed recording of theirs was due. */
  due: number
  /** Calls begun anew because no workflow owned them any more. */
  unowned: number
  /** Open runs whose workflow tasks fail. */
  stuck: number
  /** As many were found as one look takes. */
  more?: boolean
}

export type PassRequest = { kind: 'regular' | 'nightly' } | BackfillWindow

interface BackfillWindow {
  kind: 'backfill'
  /** ISO 8601 */
  from: string
  to: string
}

export interface Pass {
  passId: string
  /** ISO 8601 */
  from: string
  to: string
}

/** A page of Exotel's list: of a window no longer than a month. */
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
  hasNextPage: boolean
}

export interface PassEnd {
  passId: string
  pages: number
  callsSeen: number
  callsNew: number
  recordingsNew: number
  /** Oddities that leave no gap. */
  remark?: string
  /** The pass counts for nothing; absent: it is complete. */
  problem?: string
}

export interface BackfillRequest {
  /** ISO 8601 */
  from: string
  to: string
  /** No more of its calls than this are under way at once: live calls go first. */
  openAtMost: number
  waitScale: number
}

export interface RowsRequest {
  /** Id of the last row of the page before. */
  after?: string
  sampled: boolean
}

export interface RowsPage {
  rows: number
  missing: number
  /** False: so many are missing that nothing was changed. */
  believed: boolean
  last?: string
}

export interface ObjectsRequest {
  /** The last key of the page before. */
  after?: string
}

export interface ObjectsPage {
  objects: number
  /** Belonging to no call that we know, or not what their key says: left alone. */
  unknown: number
  adopted: number
  /** Their calls were erased. */
  deleted: number
  /** Under keys that are none of ours: counted, and left alone. */
  foreign?: number
  /** Of calls whose recording is stored under another key: kept, and not read. */
  surplus?: number
  /** Absent: no objects follow. */
  last?: string
}

export interface ObjectCheckResult extends Omit<ObjectsPage, 'last'> {
  rows: number
  missing: number
}

export interface ObjectCheckRequest {
  full: boolean
  /** Where the run before has come to. */
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
/** Type of the failure of a kind whose statements time out even for one row. */
export const CLEAN_UP_TIMED_OUT = 'CleanUpTimedOut'
/** Type of the failure of a run in which kinds have failed. */
export const CLEAN_UP_INCOMPLETE = 'CleanUpIncomplete'
