import type { Mistake } from './mistake.ts'

/** Mistakes in downloads, uploads and the spool. */
export const transfers: Mistake[] = [
  {
    breaks: 'Parts of an upload overlap',
    file: 'recordings/multipart.ts',
    text: 'Math.min(start + partBytes, bytes) - 1',
    replacement: 'Math.min(start + partBytes, bytes - 1)',
    tests: ['tests/storage/upload-attempts.test.ts'],
    only: 'When a file that fills its last part is uploaded in parts',
  },
  {
    breaks: 'A resumed upload keeps a part with wrong bytes',
    file: 'recordings/multipart.ts',
    text: "there.get(PartNumber) === md5.toString('hex')",
    replacement: 'there.has(PartNumber)',
    tests: ['tests/storage/upload-attempts.test.ts'],
    only: 'When an open upload has a part with other bytes',
  },
  {
    breaks: 'The sweep ends uploads that are under way',
    file: 'recordings/multipart.ts',
    text: ' || Initiated >= olderThan',
    replacement: '',
    tests: ['tests/storage/sweeps.test.ts'],
  },
  {
    breaks: 'The sweep ends uploads of others in the bucket',
    file: 'recordings/multipart.ts',
    text: String.raw` || !/^(recordings|quarantine)\//.test(Key)`,
    replacement: '',
    tests: ['tests/storage/sweeps.test.ts'],
  },
  {
    breaks: 'The sweep of the worker ends uploads that are under way',
    file: 'recordings/sweeps.ts',
    text: 'Date.now() - UPLOAD_AGE_MS',
    replacement: 'Date.now() + UPLOAD_AGE_MS',
    tests: ['tests/storage/sweeps.test.ts'],
  },
  {
    breaks: 'The ETag of a file in parts is computed wrong, and each one is read back',
    file: 'recordings/digests.ts',
    text: 'chunk.length >= untilPartEnds',
    replacement: 'chunk.length > untilPartEnds',
    tests: ['tests/storage/upload-attempts.test.ts'],
    only: 'When a file that fills its last part is uploaded in parts',
  },
  {
    breaks: 'A cancelled upload leaves its parts in the bucket',
    file: 'recordings/multipart.ts',
    text: 'if (control.isCancelled()) await client.send(new AbortMultipartUploadCommand({ ...place, UploadId })).catch(() => {})',
    replacement: '',
    tests: ['tests/storage/upload-attempts.test.ts'],
    only: 'because its workflow cancelled it',
  },
  {
    breaks: 'An upload that a shutdown interrupts begins again with its first part',
    file: 'recordings/multipart.ts',
    text: 'if (control.isCancelled()) await',
    replacement: 'if (control.signal.aborted) await',
    tests: ['tests/storage/upload-attempts.test.ts'],
    only: 'because of WORKER_SHUTDOWN',
  },
]
