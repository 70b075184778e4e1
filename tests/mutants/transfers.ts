import type { Mistake } from './mistake.ts'

/** Mistakes in downloads, uploads and the spool. */
export const transfers: Mistake[] = []
