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

/** What an error says about the worker's disk; undefined if it is about something else. */
export function diskFailureCode(error: unknown): DiskFailureCode | undefined {
  return error instanceof SpoolFull ? 'SpoolFull' : CODES[(error as NodeJS.ErrnoException).code ?? '']
}
