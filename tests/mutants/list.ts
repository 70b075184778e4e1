import { access } from './access.ts'
import { calls } from './calls.ts'
import { decisions } from './decisions.ts'
import { downloads } from './downloads.ts'
import { evidence } from './evidence.ts'
import { fields } from './fields.ts'
import type { Mistake } from './mistake.ts'
import { objects } from './objects.ts'
import { outages } from './outages.ts'
import { requests } from './requests.ts'
import { reviewRows } from './review-rows.ts'
import { reviewTransfers } from './review-transfers.ts'
import { spool } from './spool.ts'
import { uploads } from './uploads.ts'

export const mistakes: Mistake[] = [
  ...calls,
  ...access,
  ...downloads,
  ...uploads,
  ...spool,
  ...decisions,
  ...evidence,
  ...requests,
  ...fields,
  ...objects,
  ...outages,
  ...reviewTransfers,
  ...reviewRows,
]
