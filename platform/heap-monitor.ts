// Detects slow memory leaks before they end the process: growth of the heap after full collections, and accumulating listeners.
import { constants, PerformanceObserver, type PerformanceEntry } from 'node:perf_hooks'
import { getHeapStatistics } from 'node:v8'
import type { Logger } from './logger.ts'
import { counter, gauge } from './metrics.ts'

const WINDOW_MS = 10 * 60_000
/** An hour. The heap is rising if each window of the second half is above all windows of the first half by RISE_FACTOR. */
const RISING_WINDOWS = 6
/** Excludes caches that are still filling up. */
const RISE_FACTOR = 1.05

const afterGc = gauge('heap_after_gc_bytes', 'Heap in use after the last full collection')
const rising = gauge('heap_rising', '1 while the heap after collections has risen for an hour')
const listenerWarnings = counter('listener_warnings_total', 'MaxListenersExceededWarning: listeners are added and not removed', [])

export function monitorHeap(logger: Logger): { stop(): void } {
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
    const isRising = lowest < Infinity && rise.add(lowest) // without a full collection, the heap did not grow much
    if (isRising)
      logger.warn(
        { heapAfterGcBytes: lowest },
        'The heap after garbage collection has grown for an hour: probably a memory leak. Take a heap snapshot',
      )
    rising.set(isRising ? 1 : 0)
    lowest = Infinity
  }, WINDOW_MS)
  windows.unref()
  const onWarning = (warning: Error): void => {
    if (warning.name !== 'MaxListenersExceededWarning') return
    listenerWarnings.inc()
    logger.warn({ error: warning }, 'An emitter has too many listeners: probably listeners are added and not removed')
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

/** `add` returns whether the heap has been rising for an hour, see RISING_WINDOWS and RISE_FACTOR. */
export function createRiseDetector(): { add(lowestBytes: number): boolean } {
  let windows: number[] = []
  return {
    add(lowestBytes) {
      windows = [...windows, lowestBytes].slice(-RISING_WINDOWS)
      const [first, second] = [windows.slice(0, RISING_WINDOWS / 2), windows.slice(RISING_WINDOWS / 2)]
      return windows.length === RISING_WINDOWS && Math.min(...second) >= Math.max(...first) * RISE_FACTOR
    },
  }
}

function isFullCollection(entry: PerformanceEntry): boolean {
  return (entry as PerformanceEntry & { detail?: { kind?: number } }).detail?.kind === constants.NODE_PERFORMANCE_GC_MAJOR
}
