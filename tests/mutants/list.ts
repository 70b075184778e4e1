import { access } from './access.ts'
import { calls } from './calls.ts'
import { decisions } from './decisions.ts'
import { downloads } from './downloads.ts'
import { evidence } from './evidence.ts'
import type { Mistake } from './mistake.ts'
import { requests } from './requests.ts'
import { spool } from './spool.ts'
import { uploads } from './uploads.ts'

export const mistakes: Mistake[] = [...calls, ...access, ...downloads, ...uploads, ...spool, ...decisions, ...evidence, ...requests]
