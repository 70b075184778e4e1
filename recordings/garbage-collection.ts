// Leftovers of what died or was given up: spool files of calls without an open workflow, uploads that nobody completes.
import { setTimeout as pause } from 'node:timers/promises'
import type { CallSid } from '../contracts/call-sid.ts'
import type { Logger } from '../platform/logger.ts'
import { counter } from '../platform/metrics.ts'
import type { Spool } from './spool.ts'
import type { RecordingStore } from './store.ts'

const EVERY_MS = 10 * 60_000
/** No upload of ours takes this long; one that is still wanted starts anew. */
const UPLOAD_AGE_MS = 24 * 3600_000

const swept = counter('garbage_collected_total', 'Leftovers cleared: spool files of closed calls, uploads that nobody completed', ['kind'])

export interface GarbageCollection {
  spool: Spool
  store: RecordingStore
  logger: Logger
  isOpen: (callSid: CallSid) => Promise<boolean>
  waitScale: number
  signal: AbortSignal
}

/** GarbageCollection now and every ten minutes until the signal; trouble is logged and left to the next time. */
export async function startGarbageCollection(options: GarbageCollection): Promise<void> {
  while (!options.signal.aborted) {
    await sweepSpool(options).catch((error: unknown) => options.logger.warn({ error }, 'Recording spool not swept'))
    await sweepUploads(options).catch((error: unknown) => options.logger.warn({ error }, 'Recording uploads not swept'))
    await pause(EVERY_MS * options.waitScale, undefined, { signal: options.signal }).catch(() => {})
  }
}

async function sweepSpool({ spool, isOpen, logger }: GarbageCollection): Promise<void> {
  const files = await spool.sweep(isOpen, (file, error) => logger.warn({ error, file }, 'Recording spool file not swept'))
  swept.inc({ kind: 'spool_file' }, files.length)
  if (files.length > 0) logger.info({ files: files.length }, 'Recording spool swept')
}

async function sweepUploads({ store, logger, signal }: GarbageCollection): Promise<void> {
  const uploads = await store.sweepUploads(new Date(Date.now() - UPLOAD_AGE_MS), signal)
  swept.inc({ kind: 'upload' }, uploads)
  if (uploads > 0) logger.info({ uploads }, 'Recording uploads that nobody completed were ended')
}
