import type { Dependencies } from './dependencies.ts'
import { createDownloadRecording } from './download-recording.ts'
import { createFastTransfer } from './fast-transfer.ts'
import { createFindOutcome } from './find-outcome.ts'
import { createFindRecording, createRenewLink } from './find-recording.ts'
import { createCleanUp } from './clean-up.ts'
import { createCheckObjects } from './check-objects.ts'
import { createPeaksActivities } from './compute-peaks.ts'
import { createDiscardRecording } from './discard-recording.ts'
import { createKeepIncomplete } from './keep-incomplete.ts'
import { createRecordRetryWait } from './record-retry-wait.ts'
import { createReconcileActivities } from './reconcile.ts'
import { createRetryCalls } from './retry-calls.ts'
import { createRecoverRecordings } from './recover-recordings.ts'
import { createCheckSpool } from './check-spool.ts'
import { createUpdateCall } from './update-call.ts'
import { createUploadRecording } from './upload-recording.ts'
import { createValidateRecording } from './validate-recording.ts'

/** Creates all activities. Each gets only the dependencies that it needs. */
export function createActivities(deps: Dependencies) {
  const steps = {
    downloadRecording: createDownloadRecording(deps),
    validateRecording: createValidateRecording(deps),
    uploadRecording: createUploadRecording(deps),
    updateCall: createUpdateCall(deps),
  }
  return {
    ...steps,
    fastTransfer: createFastTransfer(deps, { ...steps, findOutcome: createFindOutcome(deps) }),
    recordRetryWait: createRecordRetryWait(deps),
    ...createReconcileActivities(deps),
    ...createCheckObjects(deps),
    cleanUp: createCleanUp(deps),
    ...createPeaksActivities(deps),
    recoverRecordings: createRecoverRecordings(deps),
    ...createRetryCalls(deps),
    findRecording: createFindRecording(deps),
    renewLink: createRenewLink(deps),
    keepIncomplete: createKeepIncomplete(deps),
    discardRecording: createDiscardRecording(deps),
    checkSpool: createCheckSpool(deps),
  }
}
export type Activities = ReturnType<typeof createActivities>
