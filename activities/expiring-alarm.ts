// An alarm about faults that may end without a success in this process. A fault that does not occur again for some time is removed.
import type { AlarmName } from '../contracts/alarm-names.ts'
import type { Alarms } from '../platform/alarm-registry.ts'

export interface ExpiringAlarm {
  /** @param subject the host, call or key that the fault is about */
  raise(subject: string): void
  /** Removes the subject from the alarm. The alarm is cleared when no subject is left. */
  clear(subject: string): void
}

export interface ExpiringAlarmOptions {
  name: AlarmName
  /** A subject is removed if the fault does not occur again for this long. */
  quietMs: number
  /** Builds the reason of the alarm from its newest subjects. */
  reason: (subjects: string[]) => string
}

/** Subjects may come from webhooks, so their number is limited in the text of the alarm and in memory. */
const MAX_NAMED_SUBJECTS = 10
const MAX_SUBJECTS = 1000
const MAX_TIMER_MS = 2 ** 31 - 1

export function createExpiringAlarm(alarms: Alarms<AlarmName>, { name, quietMs, reason }: ExpiringAlarmOptions): ExpiringAlarm {
  const timers = new Map<string, NodeJS.Timeout>()
  return { raise, clear }

  function raise(subject: string): void {
    remove(subject)
    const [oldest] = timers.keys()
    if (timers.size === MAX_SUBJECTS) remove(oldest!)
    timers.set(subject, setTimeout(() => clear(subject), Math.min(MAX_TIMER_MS, quietMs)).unref())
    raiseWithSubjects()
  }

  function clear(subject: string): void {
    if (!timers.has(subject)) return
    remove(subject)
    if (timers.size > 0) raiseWithSubjects()
    else alarms.clear(name)
  }

  function raiseWithSubjects(): void {
    alarms.raise(name, reason([...timers.keys()].slice(-MAX_NAMED_SUBJECTS)))
  }

  function remove(subject: string): void {
    clearTimeout(timers.get(subject))
    timers.delete(subject)
  }
}
