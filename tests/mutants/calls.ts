import type { Mistake } from './mistake.ts'

/** Mistakes in what is written to PostgreSQL. */
export const calls: Mistake[] = []
