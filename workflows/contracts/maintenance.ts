// Inputs and results of the scheduled workflows. Change them only by adding optional fields.

export interface RecoveryResult {
  /** Calls begun anew because a failed recording of theirs was due. */
  due: number
  /** Calls begun anew because no workflow owned them any more. */
  unowned: number
  /** Open runs whose workflow tasks fail. */
  stuck: number
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
  tellsNext: boolean
}

export interface PassEnd {
  passId: string
  pages: number
  callsSeen: number
  callsNew: number
  recordingsNew: number
  remark?: string
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
