import type { Servers } from '../../../dev/stack.ts'

/** No engine, one task queue for all steps, or the steps as local activities. */
export type Engine = 'loop' | 'temporal-host3' | 'temporal-local'

/** Passed to the worker process of a baseline as JSON. */
export interface BaselineSettings {
  engine: Engine
  sourceUrl: string
  folder: string
  spool: string
  databaseUrl: string
  s3: Servers['s3']
  temporal: { address: string; namespace: string; bundle: string }
}

export const TASK_QUEUE = 'bench'
