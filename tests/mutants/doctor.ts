import type { Mistake } from './mistake.ts'

const WRONG_SETTINGS = ['tests/storage/doctor.test.ts']
const BUCKET = ['tests/storage/doctor-bucket.test.ts']

/** Mistakes in what `npm run doctor` says, and in what it leaves behind. */
export const doctor: Mistake[] = [
  {
    breaks: 'An interrupted doctor leaves its test object in the bucket',
    file: 'cli/doctor/run-checks.ts',
    text: 'await inTime(work, uninterrupted, timeLimitMs)',
    replacement: 'await inTime(work, interrupted, timeLimitMs)',
    tests: BUCKET,
    only: 'When the command is interrupted',
  },
  {
    breaks: 'An object that is stored while doctor is interrupted stays in the bucket',
    file: 'cli/doctor/bucket-test-objects.ts',
    text: 'await Promise.allSettled(sent)',
    replacement: '',
    tests: BUCKET,
    only: 'while a test object is stored',
  },
  {
    breaks: 'Doctor stores an object that nobody can delete for 30 days',
    file: 'cli/doctor/bucket-checks.ts',
    text: 'isLocked = retention !== undefined',
    replacement: 'isLocked = false',
    tests: BUCKET,
    only: 'When new objects are locked',
  },
  {
    breaks: 'Old versions of test objects remain in a bucket with versioning',
    file: 'cli/doctor/bucket-test-objects.ts',
    text: 'if (keepsVersions) for (const key of keys)',
    replacement: 'for (const key of keys.slice(2))',
    tests: BUCKET,
    only: 'When the bucket keeps old versions',
  },
  {
    breaks: 'A clock that is behind the clock of the store counts as right',
    file: 'cli/doctor/bucket-checks.ts',
    text: 'Math.abs(aheadMs)',
    replacement: 'aheadMs',
    tests: BUCKET,
    only: 'by 20 min behind',
  },
  {
    breaks: 'One setting that cannot be read hides what is wrong with the connections',
    file: 'cli/doctor/run-checks.ts',
    text: 'group.needs.some((each) => each === setting)',
    replacement: 'setting !== undefined',
    tests: WRONG_SETTINGS,
    only: 'When a setting cannot be read',
  },
  {
    breaks: 'A script takes settings that cannot be read for a fault of a server',
    file: 'cli/doctor/run-doctor.ts',
    text: 'if (isUnreadable) return EXIT_CODES.unreadable',
    replacement: '',
    tests: WRONG_SETTINGS,
    only: 'When settings are missing',
  },
  {
    breaks: 'Insecure settings are found only when production refuses to start',
    file: 'platform/config.ts',
    text: '[...contradictionsIn(settings), ...refusalsOf(settings)]\n  return',
    replacement: '[...contradictionsIn(settings)]\n  return',
    tests: WRONG_SETTINGS,
    only: 'When production refuses settings',
  },
  {
    breaks: 'A role that lacks one right counts as complete',
    file: 'cli/doctor/database-rights.ts',
    text: 'ELSE has_any_column_privilege(relation, "right") END',
    replacement: 'ELSE true END',
    tests: WRONG_SETTINGS,
    only: 'When the role lacks a single right',
  },
  {
    breaks: 'Doctor hangs with a server that accepts connections and never responds',
    file: 'cli/doctor/run-checks.ts',
    text: 'isSilent = error instanceof DeadlineExceeded',
    replacement: 'isSilent = false',
    tests: WRONG_SETTINGS,
    only: 'When a server accepts connections and never responds',
  },
]
