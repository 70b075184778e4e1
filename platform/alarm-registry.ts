import type { Logger } from './logger.ts'
import { gauge } from './metrics.ts'

/** Faults that a person has to fix. Each is logged when it starts and when it ends, and appears in health and metrics. */
export interface Alarms<Name extends string> {
  /** If the alarm is raised already, its newest reason replaces the earlier one, and is logged if it is another text. */
  raise(name: Name, reason: string): void
  clear(name: Name): void
  active(): ActiveAlarm<Name>[]
}

interface ActiveAlarm<Name extends string> {
  name: Name
  /** The newest reason, and when it replaced another one. */
  reason: string
  reasonAt: string
  /** When the alarm was raised. */
  since: string
}

/** An alarm logs one reason in this time, because some reasons contain numbers and lists that change all the time. */
const LOG_PAUSE_MS = 60_000

const raised = gauge('alarm_raised', '1 while the alarm is raised', ['name'])

/** @param logPauseMs the shortest time between two log lines with reasons of one alarm; then its newest reason is logged */
export function createAlarms<Name extends string>(logger: Logger, logPauseMs = LOG_PAUSE_MS): Alarms<Name> {
  const raisedAlarms = new Map<Name, ActiveAlarm<Name> & { loggedReason: string; logPause: NodeJS.Timeout | undefined }>()
  const now = (): string => new Date().toISOString()
  return {
    raise(name, reason) {
      const known = raisedAlarms.get(name)
      if (known?.reason === reason) return
      if (known) {
        Object.assign(known, { reason, reasonAt: now() })
        return logNewReason(name)
      }
      logger.error({ alarm: name, reason }, 'Recording alarm raised')
      raisedAlarms.set(name, { name, reason, reasonAt: now(), since: now(), loggedReason: reason, logPause: startLogPause(name) })
      raised.set({ name }, 1)
    },
    clear(name) {
      clearTimeout(raisedAlarms.get(name)?.logPause)
      if (!raisedAlarms.delete(name)) return
      logger.info({ alarm: name }, 'Recording alarm cleared')
      raised.set({ name }, 0)
    },
    active: () => [...raisedAlarms.values()].map(({ name, reason, reasonAt, since }) => ({ name, reason, reasonAt, since })),
  }

  function logNewReason(name: Name): void {
    const alarm = raisedAlarms.get(name)
    if (!alarm || alarm.logPause !== undefined || alarm.reason === alarm.loggedReason) return
    logger.error({ alarm: name, reason: alarm.reason }, 'Recording alarm has another reason')
    Object.assign(alarm, { loggedReason: alarm.reason, logPause: startLogPause(name) })
  }

  function startLogPause(name: Name): NodeJS.Timeout {
    return setTimeout(() => {
      Object.assign(raisedAlarms.get(name)!, { logPause: undefined })
      logNewReason(name)
    }, logPauseMs).unref()
  }
}

/** What health endpoints show. The reasons appear only in the log. */
export function alarmsWithoutReasons(alarms: Alarms<string>): { name: string; since: string; reasonAt: string }[] {
  return alarms.active().map(({ name, since, reasonAt }) => ({ name, since, reasonAt }))
}
