import type { Mistake } from './mistake.ts'

const tests = ['tests/storage/event-recorder.test.ts']

/** Mistakes in recording the events of concurrent webhooks together. */
export const eventRecorder: Mistake[] = [
  {
    breaks: 'two events of one call in one statement fail, so that events are recorded one by one under load',
    file: 'calls/event-recorder.ts',
    text: ' && !batch.has(callSid)',
    replacement: '',
    tests,
    only: 'two events of one call',
  },
  {
    breaks: 'one refused event fails the events that arrived with it',
    file: 'calls/event-recorder.ts',
    text: 'for (const item of batch) void recordSingle(item)',
    replacement: 'for (const { reject } of batch) reject(error)',
    tests,
    only: 'PostgreSQL refuses one event',
  },
  {
    breaks: 'a locked row delays the events of other calls until the lock is released',
    file: 'platform/database.ts',
    text: 'statement: 250',
    replacement: 'statement: 900_000',
    tests,
    only: 'row of one call is locked',
  },
  {
    breaks: 'events that have waited join another slow statement',
    file: 'calls/event-recorder.ts',
    text: 'item.sinceMs < latest',
    replacement: 'item.sinceMs > latest + 1_000_000',
    tests,
    only: 'have waited for 250 ms',
  },
  {
    breaks: 'a large event delays the events of other calls',
    file: 'calls/event-recorder.ts',
    text: '> LARGEST_IN_BATCH_BYTES',
    replacement: '> 100 * LARGEST_IN_BATCH_BYTES',
    tests,
    only: 'an event is large',
  },
  {
    breaks: 'each webhook gets the result of another one',
    file: 'calls/record-event.ts',
    text: 'duplicate: !isNew.has(identity)',
    replacement: 'duplicate: isNew.size < rows.length',
    tests,
    only: 'some of the events were recorded before',
  },
  {
    breaks: 'statements of two processes end in a deadlock',
    file: 'calls/record-event.ts',
    text: 'ORDER BY call_sid',
    replacement: 'ORDER BY started_at',
    tests,
    only: 'opposite orders',
  },
  {
    breaks: 'events wait although no statement runs, until another event arrives',
    file: 'calls/event-recorder.ts',
    text: `        running -= 1
        startBatches()`,
    replacement: '        running -= 1',
    tests,
    only: 'two events of one call',
  },
]
