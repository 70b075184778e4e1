import type { Mistake } from './mistake.ts'

const ACTIVITY = 'activities/fast-transfer.ts'
const TRANSFER = { tests: ['tests/storage/fast-transfer.test.ts'] }
const UPLOAD = { file: 'activities/upload-recording.ts', tests: ['tests/storage/one-request-uploads.test.ts'] }
const RUN = { file: 'workflows/fast-path.ts', tests: ['tests/workflows/fast-path.test.ts'] }

/** Mistakes in the fast path of ordinary recordings, and in uploads of one request. */
export const fastPath: Mistake[] = [
  {
    ...TRANSFER,
    breaks: 'the fast path takes all slots for workflow tasks, so that signals and other workflows wait for transfers',
    file: ACTIVITY,
    text: 'running >= AT_ONCE',
    replacement: 'running >= 100 * AT_ONCE',
    only: 'more recordings at once',
  },
  {
    ...TRANSFER,
    breaks: 'a recording that Exotel does not have yet is requested twice each time',
    file: ACTIVITY,
    text: 'attempt.signal.aborted || isAboutRecording(error)',
    replacement: 'attempt.signal.aborted',
    only: 'When Exotel does not have the recording',
  },
  {
    ...TRANSFER,
    breaks: 'a recording above the limit of the fast path fails for good',
    file: ACTIVITY,
    text: "error.type !== 'RecordingTooLarge' && ",
    replacement: '',
    only: 'a recording above the limit',
  },
  {
    ...TRANSFER,
    breaks: 'a recording above the limit of the fast path counts as a failed attempt',
    file: 'activities/download-recording.ts',
    text: '(answer.totalBytes ?? 0) > (fastPathMaxBytes ?? Infinity)',
    replacement: 'false',
    only: 'a recording above the limit',
  },
  {
    ...TRANSFER,
    breaks: 'a slow source holds a workflow task until it times out',
    file: ACTIVITY,
    text: 'AbortSignal.any([attempt.signal, deadline.signal])',
    replacement: 'attempt.signal',
    only: 'a source that sends slowly',
  },
  {
    ...TRANSFER,
    breaks: 'a recording is downloaded again because S3 is unavailable',
    file: ACTIVITY,
    text: 'const spooled = (reached.spooled = await',
    replacement: 'const spooled = (await',
    only: 'an S3 that is unavailable',
  },
  {
    ...TRANSFER,
    breaks: 'a repeated local activity is recorded as a second attempt',
    file: ACTIVITY,
    text: ' id: conclusionId,',
    replacement: '',
    only: 'after its result was lost',
  },
  {
    ...RUN,
    breaks: 'a recording whose attempt has failed holds a workflow task again',
    text: 'retry.failures === 0 && ',
    replacement: '',
    only: 'When an attempt has failed',
  },
  {
    ...RUN,
    breaks: 'two recordings of a call are on the fast path at once, and the run cannot be replayed',
    text: ' && !isFastPathTaken',
    replacement: '',
    only: 'When a call has two recordings',
  },
  {
    ...RUN,
    breaks: 'an error of our own on the fast path counts as one of the recording',
    text: "isCancellation(error) || failureIn(error).code !== 'InternalError'",
    replacement: 'true',
    only: 'for a reason of our own',
  },
  {
    breaks: 'a foreign object is not looked for in a store without conditions, and is overwritten',
    file: 'recordings/store.ts',
    text: 'this.#refusesOverwrites = isConflict(error)',
    replacement: 'this.#refusesOverwrites = true',
    tests: ['tests/storage/one-request-uploads.test.ts'],
    only: 'When the store does not know conditions',
  },
  {
    ...UPLOAD,
    breaks: 'a recording whose key has a foreign object is never stored',
    text: '    if (error instanceof ObjectMismatch || error instanceof ObjectUnreadable) return false\n    throw error\n',
    replacement: '    throw error\n',
    only: 'When the key has a foreign object',
  },
  {
    ...UPLOAD,
    breaks: 'a repeated upload that finds no file downloads the recording again, although it is stored',
    text: '  if ((await deps.spool.bytesOf(spooled.file)) !== object.bytes) return false\n  try {',
    replacement: '  try {',
    only: 'a repeated one finds the object',
  },
]
