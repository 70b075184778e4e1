import { access } from './access.ts'
import { accountChanges } from './account-changes.ts'
import { activityFailures } from './activity-failures.ts'
import { calls } from './calls.ts'
import { clients } from './clients.ts'
import { decisions } from './decisions.ts'
import { doctor } from './doctor.ts'
import { downloads } from './downloads.ts'
import { duty } from './duty.ts'
import { eventRecorder } from './event-recorder.ts'
import { evidence } from './evidence.ts'
import { exotelApi } from './exotel-api.ts'
import { fastPath } from './fast-path.ts'
import { sql } from './sql.ts'
import { fields } from './fields.ts'
import { liveAndBulk } from './live-and-bulk.ts'
import type { Mistake } from './mistake.ts'
import { objects } from './objects.ts'
import { operations } from './operations.ts'
import { outages } from './outages.ts'
import { passes } from './passes.ts'
import { peaks } from './peaks.ts'
import { relay } from './relay.ts'
import { requests } from './requests.ts'
import { reviewRows } from './review-rows.ts'
import { reviewTransfers } from './review-transfers.ts'
import { runs } from './runs.ts'
import { rows } from './rows.ts'
import { scheduledWork } from './scheduled-work.ts'
import { selections } from './selections.ts'
import { spool } from './spool.ts'
import { transferState } from './transfer-state.ts'
import { uploads } from './uploads.ts'

export const mistakes: Mistake[] = [
  ...calls,
  ...access,
  ...downloads,
  ...uploads,
  ...spool,
  ...decisions,
  ...eventRecorder,
  ...evidence,
  ...requests,
  ...fields,
  ...fastPath,
  ...sql,
  ...liveAndBulk,
  ...objects,
  ...outages,
  ...activityFailures,
  ...scheduledWork,
  ...transferState,
  ...relay,
  ...runs,
  ...passes,
  ...reviewTransfers,
  ...reviewRows,
  ...exotelApi,
  ...duty,
  ...clients,
  ...rows,
  ...selections,
  ...accountChanges,
  ...operations,
  ...peaks,
  ...doctor,
]
