import type { Mistake } from './mistake.ts'

/** Mistakes in workflows, in what Exotel is asked, and in what its answers mean. */
export const decisions: Mistake[] = []
