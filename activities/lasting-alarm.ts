// An alarm about faults that no success of this process can end: each is forgotten where it has not happened again for long enough.
import type { AlarmName } from '../contracts/alarms.ts'
import type { Alarms } from '../platform/alarms.ts'

export interface LastingAlarm {
  /** @param subject what the fault is about, such as a host or a call */
  raise(subject: string): void
  /** The fault is over. */
  end(subject: string): void
}

export interface LastingAlarmOptions {
  name: AlarmName
  /** Without the fault for this long, a subject is forgotten. */
  quietMs: number
  /** The reason of the alarm, from the newest of the subjects that it stands for. */
  reason: (subjects: string[]) => string
}

/** Subjects may come from webhooks, so their number is limited: in the text of the alarm, and in memory. */
const MAX_NAMED_SUBJECTS = 10
const MAX_SUBJECTS = 1000
const MAX_TIMER_MS = 2 ** 31 - 1

export function createLastingAlarm(alarms: Alarms<AlarmName>, { name, quietMs, reason }: LastingAlarmOptions): LastingAlarm {
  const timers = new Map<string, NodeJS.Timeout>()
  return { raise, end }

  function raise(subject: string): void {
    forget(subject)
    const [oldest] = timers.keys()
    if (timers.size === MAX_SUBJECTS) forget(oldest!)
    timers.set(subject, setTimeout(() => end(subject), Math.min(MAX_TIMER_MS, quietMs)).unref())
    raiseForAll()
  }

  function end(subject: string): void {
    if (!timers.has(subject)) return
    forget(subject)
    if (timers.size > 0) raiseForAll()
    else alarms.clear(name)
  }

  function raiseForAll(): void {
    alarms.raise(name, reason([...timers.keys()].slice(-MAX_NAMED_SUBJECTS)))
  }

  function forget(subject: string): void {
    clearTimeout(timers.get(subject))
    timers.delete(subject)
  }
}
