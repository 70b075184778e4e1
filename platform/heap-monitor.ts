// Tells of slow leaks before they end the process: what is left after each full collection, and listeners that pile up.
import { constants, PerformanceObserver, type PerformanceEntry } from 'node:perf_hooks'
import { getHeapStatistics } from 'node:v8'
import type { Logger } from './logger.ts'
import { counter, gauge } from './metrics.ts'

const WINDOW_MS = 10 * 60_000
/** An hour: each window of its second half must be higher than all of its first, … */
const RISING_WINDOWS = 6
/** … and by so much: a cache that fills up is no leak. */
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
    const isRising = lowest < Infinity && rise.add(lowest) // nothing was collected: nothing piled up
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

/** @returns of `add`: whether the heap of the last windows lies so far above that of those before that it is no accident */
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
