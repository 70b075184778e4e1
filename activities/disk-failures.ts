import { SpoolFull } from '../recordings/spool-space.ts'

type DiskFailureCode = 'SpoolFull' | 'SpoolUnavailable'

const CODES: Record<string, DiskFailureCode> = {
  ENOSPC: 'SpoolFull',
  EDQUOT: 'SpoolFull',
  EROFS: 'SpoolUnavailable',
  EACCES: 'SpoolUnavailable',
  EIO: 'SpoolUnavailable',
  ENOENT: 'SpoolUnavailable',
}

/** Returns the failure code of an error of the worker's disk. Undefined for any other error. */
export function diskFailureCode(error: unknown): DiskFailureCode | undefined {
  return error instanceof SpoolFull ? 'SpoolFull' : CODES[(error as NodeJS.ErrnoException).code ?? '']
}
