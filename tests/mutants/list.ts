import { access } from './access.ts'
import { calls } from './calls.ts'
import { decisions } from './decisions.ts'
import { evidence } from './evidence.ts'
import type { Mistake } from './mistake.ts'
import { reviewM2 } from './review-wt-m2.ts'
import { transfers } from './transfers.ts'

export const mistakes: Mistake[] = [...calls, ...access, ...transfers, ...decisions, ...evidence, ...reviewM2]
