// Tells of slow leaks before they end the process: what is left after each full collection, and listeners that pile up.
import { constants, PerformanceObserver, type PerformanceEntry } from 'node:perf_hooks'
import { getHeapStatistics } from 'node:v8'
import type { Logger } from './logger.ts'
import { counter, gauge } from './metrics.ts'

const WINDOW_MS = 10 * 60_000
/** As many windows in a row must each be higher than the one before. */
const RISING_WINDOWS = 6
/** And by so much in all: a cache that fills up is no leak. */
const RISE_FACTOR = 1.25

const afterGc = gauge('heap_after_gc_bytes', 'Heap in use after the last full collection')
const rising = gauge('heap_rising', '1 while the heap after collections has risen for an hour')
const listenerWarnings = counter('listener_warnings_total', 'MaxListenersExceededWarning: listeners are added and not removed', [])

export function watchForLeaks(logger: Logger): { stop(): void } {
  const rise = createRiseDetector()
  let lowest = Infinity
  const collections = new PerformanceObserver((list) => {
    if (!list.getEntries().some(isFullCollection)) return
    const bytes = getHeapStatistics().used_heap_size
    afterGc.set(bytes)
    lowest = Math.min(lowest, bytes)
  })
  collections.observe({ entryTypes: ['gc'] })
  const windows = setInterval(() => {
    if (lowest === Infinity) return // nothing was collected, so nothing piled up
    const isRising = rise.add(lowest)
    if (isRising) logger.warn({ heapAfterGcBytes: lowest }, 'Heap has risen for an hour: something is kept that should go')
    rising.set(isRising ? 1 : 0)
    lowest = Infinity
  }, WINDOW_MS)
  windows.unref()
  const onWarning = (warning: Error): void => {
    if (warning.name !== 'MaxListenersExceededWarning') return
    listenerWarnings.inc()
    logger.warn({ error: warning }, 'Listeners pile up: something adds them and does not remove them')
  }
  process.on('warning', onWarning)
  return {
    stop() {
      collections.disconnect()
      clearInterval(windows)
      process.off('warning', onWarning)
    },
  }
}

/** @returns of `add`: whether the last windows rise without a break, and far enough to be no accident */
export function createRiseDetector(): { add(lowestBytes: number): boolean } {
  let windows: number[] = []
  return {
    add(lowestBytes) {
      if (lowestBytes <= (windows.at(-1) ?? 0)) windows = []
      windows = [...windows, lowestBytes].slice(-RISING_WINDOWS)
      return windows.length === RISING_WINDOWS && lowestBytes >= windows[0]! * RISE_FACTOR
    },
  }
}

function isFullCollection(entry: PerformanceEntry): boolean {
  return (entry as PerformanceEntry & { detail?: { kind?: number } }).detail?.kind === constants.NODE_PERFORMANCE_GC_MAJOR
}
