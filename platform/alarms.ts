import type { Logger } from './logger.ts'
import { gauge } from './metrics.ts'

/** Something that a person has to put right, said once when it begins and once when it ends, and seen in health and metrics. */
export interface Alarms<Name extends string> {
  raise(name: Name, reason: string): void
  clear(name: Name): void
  active(): { name: Name; reason: string; since: string }[]
}

const raised = gauge('alarm_raised', '1 while an alarm stands', ['name'])

export function createAlarms<Name extends string>(logger: Logger): Alarms<Name> {
  const standing = new Map<Name, { reason: string; since: string }>()
  return {
    raise(name, reason) {
      if (!standing.has(name)) logger.error({ alarm: name, reason }, 'Recording alarm raised')
      standing.set(name, { reason, since: standing.get(name)?.since ?? new Date().toISOString() })
      raised.set({ name }, 1)
    },
    clear(name) {
      if (!standing.delete(name)) return
      logger.info({ alarm: name }, 'Recording alarm cleared')
      raised.set({ name }, 0)
    },
    active: () => [...standing].map(([name, { reason, since }]) => ({ name, reason, since })),
  }
}

/** What health shows: the reasons belong to the log. */
export function alarmsWithoutReasons(alarms: Alarms<string>): { name: string; since: string }[] {
  return alarms.active().map(({ name, since }) => ({ name, since }))
}
