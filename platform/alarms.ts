import type { Logger } from './logger.ts'
import { gauge } from './metrics.ts'

/** Faults that a person has to fix. Each is logged when it starts and when it ends, and appears in health and metrics. */
export interface Alarms<Name extends string> {
  raise(name: Name, reason: string): void
  clear(name: Name): void
  active(): { name: Name; reason: string; since: string }[]
}

const raised = gauge('alarm_raised', '1 while the alarm is raised', ['name'])

export function createAlarms<Name extends string>(logger: Logger): Alarms<Name> {
  const raisedAlarms = new Map<Name, { reason: string; since: string }>()
  return {
    raise(name, reason) {
      if (!raisedAlarms.has(name)) logger.error({ alarm: name, reason }, 'Recording alarm raised')
      raisedAlarms.set(name, { reason, since: raisedAlarms.get(name)?.since ?? new Date().toISOString() })
      raised.set({ name }, 1)
    },
    clear(name) {
      if (!raisedAlarms.delete(name)) return
      logger.info({ alarm: name }, 'Recording alarm cleared')
      raised.set({ name }, 0)
    },
    active: () => [...raisedAlarms].map(([name, { reason, since }]) => ({ name, reason, since })),
  }
}

/** What health endpoints show. The reasons appear only in the log. */
export function alarmsWithoutReasons(alarms: Alarms<string>): { name: string; since: string }[] {
  return alarms.active().map(({ name, since }) => ({ name, since }))
}
