// Deletes leftovers: spool files of calls without an open workflow, and multipart uploads that were never completed.
import { setTimeout as pause } from 'node:timers/promises'
import type { CallSid } from '../contracts/call-sid.ts'
import type { Logger } from '../platform/logger.ts'
import { counter } from '../platform/metrics.ts'
import type { Spool } from './spool.ts'
import type { RecordingStore } from './store.ts'

const EVERY_MS = 10 * 60_000
/** No upload takes this long. If the recording of an aborted upload is still needed, the next attempt starts a new upload. */
const UPLOAD_AGE_MS = 24 * 3600_000

const swept = counter(
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
    await sweepSpool(options).catch((error: unknown) =>
      options.logger.warn({ error }, 'The sweep of the spool failed; the next sweep retries it'),
    )
    await sweepUploads(options).catch((error: unknown) =>
      options.logger.warn({ error }, 'The sweep of multipart uploads failed; the next sweep retries it'),
    )
    await pause(EVERY_MS * options.waitScale, undefined, { signal: options.signal }).catch(() => {})
  }
}

async function sweepSpool({ spool, isOpen, logger }: GarbageCollection): Promise<void> {
  const files = await spool.sweep(isOpen, (file, error) =>
    logger.warn({ error, file }, 'The sweep could not check or delete a spool file; the next sweep retries it'),
  )
  swept.inc({ kind: 'spool_file' }, files.length)
  if (files.length > 0) logger.info({ files: files.length }, 'The sweep deleted spool files of closed calls')
}

async function sweepUploads({ store, logger, signal }: GarbageCollection): Promise<void> {
  const uploads = await store.sweepUploads(new Date(Date.now() - UPLOAD_AGE_MS), signal)
  swept.inc({ kind: 'upload' }, uploads)
  if (uploads > 0) logger.info({ uploads }, 'The sweep aborted multipart uploads that were never completed')
}
