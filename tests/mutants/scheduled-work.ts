import type { Mistake } from './mistake.ts'

/** Mistakes in scheduled work: object checks, clean-up, recovery, garbage collection. */
export const scheduledWork: Mistake[] = [
  {
    breaks: 'a sampled object check reads samples forever and never checks the objects',
    file: 'activities/check-objects.ts',
    text: 'rows.length < ROWS_A_PAGE || sampled ?',
    replacement: 'rows.length < ROWS_A_PAGE ?',
    tests: ['tests/storage/object-check-pages.test.ts'],
    only: 'When a sample fills a page',
  },
  {
    breaks: 'no metric says that a missing object is lost for good',
    file: 'activities/check-objects.ts',
    text: "if (givenUp) reportGivenUp(logger, { callSid: row.callSid, code: 'ObjectMissing' })\n          else ",
    replacement: '',
    tests: ['tests/storage/object-check-pages.test.ts'],
    only: 'the metric counts its recording',
  },
  {
    breaks: 'the alarm about audio of erased calls ends with the next page of the check',
    file: 'activities/check-objects.ts',
    text: 'if (after === undefined) alarms.clear(ERASED_ALARM)',
    replacement: 'alarms.clear(ERASED_ALARM)',
    tests: ['tests/storage/object-check-pages.test.ts'],
    only: 'a later page of the check does not clear the alarm',
  },
  {
    breaks: 'audio of a call that is erased during the check stays',
    file: 'activities/check-objects.ts',
    text: "return erased ? deleteErased(callSid, key) : 'adopted'",
    replacement: "return erased ? 'unknown' : 'adopted'",
    tests: ['tests/storage/object-check-pages.test.ts'],
    only: 'is deleted instead of adopted',
  },
  {
    breaks: 'one outage of PostgreSQL ends the check for overdue clean-up until the worker is restarted',
    file: 'activities/clean-up-alarm.ts',
    text: `.catch((error: unknown) =>
      deps.logger.warn({ error }, 'Cannot check whether clean-up is overdue'),
    )`,
    replacement: '',
    tests: ['tests/storage/clean-up-runs.test.ts'],
    only: 'it is checked again',
  },
  {
    breaks: 'clean-up continues while the worker shuts down',
    file: 'activities/clean-up.ts',
    text: '    signal.throwIfAborted()\n',
    replacement: '',
    tests: ['tests/storage/clean-up-runs.test.ts'],
    only: 'stops before its next batch',
  },
  {
    breaks: 'bodies of webhooks are deleted after the time of a session',
    file: 'activities/clean-up.ts',
    text: 'eraseOldBodies(database, cleanUp.webhookBodyDays, limit)',
    replacement: 'eraseOldBodies(database, cleanUp.sessionDays, limit)',
    tests: ['tests/storage/clean-up-runs.test.ts'],
    only: 'stays for its own time',
  },
  {
    breaks: 'keys that sign sessions are kept for the time of webhooks',
    file: 'activities/clean-up.ts',
    text: 'rotateSigningKeys(database, cleanUp.sessionDays)',
    replacement: 'rotateSigningKeys(database, cleanUp.webhookBodyDays)',
    tests: ['tests/storage/clean-up-runs.test.ts'],
    only: 'the key is deleted, and not before',
  },
  {
    breaks: 'an event for a run that transfers the recording follows every 15 minutes',
    file: 'activities/recover-recordings.ts',
    text: '(await isOpen(call)) ? recovery.openRunPauseMs : firstPauseMs',
    replacement: 'firstPauseMs',
    tests: ['tests/storage/recovery-pass.test.ts'],
    only: 'after the pause of an open run',
  },
  {
    breaks: 'an open run gets an event for a search that it repeats itself',
    file: 'activities/recover-recordings.ts',
    text: '    if (call.sourceUrls.length === 0) return startUnlessOpen(call)\n',
    replacement: '',
    tests: ['tests/storage/recovery-pass.test.ts'],
    only: 'When a search that has failed is due',
  },
  {
    breaks: 'recovery ends at the first call about which Temporal does not answer, in each pass',
    file: 'activities/recover-recordings.ts',
    text: `.catch((error: unknown) => {
      logger.warn({ error, callSid }, 'Recovery cannot check whether the run of a call is open: the next pass checks it again')
      return true
    })`,
    replacement: '',
    tests: ['tests/storage/recovery-pass.test.ts'],
    only: 'continues with the others',
  },
  {
    breaks: 'a backlog of failed recordings is retried one small pass at a time',
    file: 'activities/recover-recordings.ts',
    text: 'due.length === recovery.perPass || ',
    replacement: '',
    tests: ['tests/storage/recovery-pass.test.ts'],
    only: 'more passes follow',
  },
  {
    breaks: 'one outage of S3 ends garbage collection until the worker is restarted',
    file: 'recordings/garbage-collection.ts',
    text: `.catch((error: unknown) =>
      options.logger.warn({ error }, 'Garbage collection of multipart uploads failed; the next run retries it'),
    )`,
    replacement: '',
    tests: ['tests/storage/garbage-collection.test.ts'],
    only: 'then the next runs follow',
  },
  {
    breaks: 'while the spool cannot be read, multipart uploads are never aborted',
    file: 'recordings/garbage-collection.ts',
    text: `.catch((error: unknown) =>
      options.logger.warn({ error }, 'Garbage collection of the spool failed; the next run retries it'),
    )`,
    replacement: '',
    tests: ['tests/storage/garbage-collection.test.ts'],
    only: 'then the next runs follow',
  },
  {
    breaks: 'the object check fails instead of waiting while nothing listens at the address of the store',
    file: 'activities/check-objects.ts',
    text: "'$metadata' in error",
    replacement: "'$fault' in error",
    tests: ['tests/storage/object-check-pages.test.ts'],
    only: 'nothing listens',
  },
]
