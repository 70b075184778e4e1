import { access } from './access.ts'
import { calls } from './calls.ts'
import { decisions } from './decisions.ts'
import { evidence } from './evidence.ts'
import { fields } from './fields.ts'
import type { Mistake } from './mistake.ts'
import { objects } from './objects.ts'
import { outages } from './outages.ts'
import { transfers } from './transfers.ts'

export const mistakes: Mistake[] = [...calls, ...access, ...transfers, ...decisions, ...evidence, ...fields, ...objects, ...outages]
