// Inputs and results of the scheduled workflows. Change them only by adding optional fields.

export interface RecoveryResult {
  /** Calls begun anew because a failed recording of theirs was due. */
  due: number
  /** Calls begun anew because no workflow owned them any more. */
  unowned: number
  /** Open runs whose workflow tasks fail. */
  stuck: number
}
