import type { Dependencies } from './dependencies.ts'
import { createDownloadRecording } from './download-recording.ts'
import { createFindRecording, createRenewAccess } from './find-recording.ts'
import { createCleanUp } from './clean-up.ts'
import { createCheckObjects } from './check-objects.ts'
import { createDiscardRecording } from './discard-recording.ts'
import { createKeepIncomplete } from './keep-incomplete.ts'
import { createNoteWait } from './note-wait.ts'
import { createReconcileActivities } from './reconcile.ts'
import { createRecoverRecordings } from './recover-recordings.ts'
import { createSpoolHolds } from './spool-holds.ts'
import { createUpdateCall } from './update-call.ts'
import { createUploadRecording } from './upload-recording.ts'
import { createValidateRecording } from './validate-recording.ts'

/** All activities, each made from what it needs. */
export function createActivities(deps: Dependencies) {
  return {
    downloadRecording: createDownloadRecording(deps),
    validateRecording: createValidateRecording(deps),
    uploadRecording: createUploadRecording(deps),
    updateCall: createUpdateCall(deps),
    noteWait: createNoteWait(deps),
    ...createReconcileActivities(deps),
    ...createCheckObjects(deps),
    cleanUp: createCleanUp(deps),
    recoverRecordings: createRecoverRecordings(deps),
    findRecording: createFindRecording(deps),
    renewAccess: createRenewAccess(deps),
    keepIncomplete: createKeepIncomplete(deps),
    discardRecording: createDiscardRecording(deps),
    spoolHolds: createSpoolHolds(deps),
  }
}
export type Activities = ReturnType<typeof createActivities>
