// Deletes leftovers: spool files of calls without an open run, and multipart uploads that were never completed.
import { setTimeout as pause } from 'node:timers/promises'
import type { CallSid } from '../contracts/call-sid.ts'
import type { Logger } from '../platform/logger.ts'
import { counter } from '../platform/metrics.ts'
import type { Spool } from './spool.ts'
import type { RecordingStore } from './store.ts'

const EVERY_MS = 10 * 60_000
/** No upload takes this long. If the recording of an aborted upload is still needed, the next attempt starts a new upload. */
const UPLOAD_AGE_MS = 24 * 3600_000

const collected = counter(
  'garbage_collected_total',
  'Deleted leftovers: spool files of closed calls, multipart uploads that were never completed',
  ['kind'],
)

export interface GarbageCollection {
  spool: Spool
  store: RecordingStore
  logger: Logger
  isOpen: (callSid: CallSid) => Promise<boolean>
  waitScale: number
  signal: AbortSignal
}

/** Runs at once and then every ten minutes until the signal is aborted. An error is logged, and the next run retries. */
export async function startGarbageCollection(options: GarbageCollection): Promise<void> {
  while (!options.signal.aborted) {
    await collectSpoolFiles(options).catch((error: unknown) =>
      options.logger.warn({ error }, 'Garbage collection of the spool failed; the next run retries it'),
    )
    await collectUploads(options).catch((error: unknown) =>
      options.logger.warn({ error }, 'Garbage collection of multipart uploads failed; the next run retries it'),
    )
    await pause(EVERY_MS * options.waitScale, undefined, { signal: options.signal }).catch(() => {})
  }
}

async function collectSpoolFiles({ spool, isOpen, logger }: GarbageCollection): Promise<void> {
  const files = await spool.collectGarbage(isOpen, (file, error) =>
    logger.warn({ error, file }, 'Garbage collection could not check or delete a spool file; the next run retries it'),
  )
  collected.inc({ kind: 'spool_file' }, files.length)
  if (files.length > 0) logger.info({ files: files.length }, 'Garbage collection deleted spool files of closed calls')
}

async function collectUploads({ store, logger, signal }: GarbageCollection): Promise<void> {
  const uploads = await store.abortOldUploads(new Date(Date.now() - UPLOAD_AGE_MS), signal)
  collected.inc({ kind: 'upload' }, uploads)
  if (uploads > 0) logger.info({ uploads }, 'Garbage collection aborted multipart uploads that were never completed')
}
