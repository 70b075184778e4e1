import { setTimeout as pause } from 'node:timers/promises'
import type { Logger } from '../platform/logger.ts'
import type { RecordingStore } from './store.ts'

const RETRY_MS = 60_000

/** Asks the store once whether it refuses overwrites. Until it has responded, each upload looks first whether the key has an object. */
export async function detectStoreConditions(
  { store, logger }: { store: RecordingStore; logger: Logger },
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await store.detectConditions(signal)
      if (!store.refusesOverwrites) logger.warn('The S3 store ignores If-None-Match: each upload first reads whether the key has an object')
      return
    } catch (error) {
      logger.info({ error }, 'Whether the S3 store refuses overwrites is not known yet')
      await pause(RETRY_MS, undefined, { signal }).catch(() => {})
    }
  }
}
