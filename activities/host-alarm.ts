// The alarm about hosts of links that EXOTEL_RECORDING_HOSTS does not name.
import type { Dependencies } from './dependencies.ts'

export interface HostAlarm {
  refused(host: string): void
}

const NAME = 'RecordingHostNotAllowed'
/** Hosts come from webhooks: the alarm stays readable whatever they name. */
const MAX_HOSTS = 10
/** Beyond the longest pause of recovery: its own timer, and the time until the workflow runs. */
const SLACK_MS = 3600_000
const MAX_TIMER_MS = 2 ** 31 - 1

/**
 * Stands as long as links are refused for their host, and names the hosts. Settings are read at start, so a host that is refused
 * stays refused in this process, and no download can tell that the fault is over. But recovery tries every failed recording
 * again, on one worker or another: where this one has not refused a host for longer than recovery's longest pause, the alarm about
 * that host ends here. It also ends with the process, which is how a changed setting takes effect.
 */
export function createHostAlarm({ alarms, recovery, waitScale }: Pick<Dependencies, 'alarms' | 'recovery' | 'waitScale'>): HostAlarm {
  const quietMs = Math.min(MAX_TIMER_MS, Math.max(0, ...recovery.plan.pausesMs) + SLACK_MS * waitScale)
  const timers = new Map<string, NodeJS.Timeout>()
  return {
    refused(host) {
      forget(host)
      const [oldest] = timers.keys()
      if (timers.size === MAX_HOSTS) forget(oldest!)
      timers.set(host, setTimeout(() => ended(host), quietMs).unref())
      raise()
    },
  }

  function ended(host: string): void {
    forget(host)
    if (timers.size > 0) raise()
    else alarms.clear(NAME)
  }

  function forget(host: string): void {
    clearTimeout(timers.get(host))
    timers.delete(host)
  }

  function raise(): void {
    alarms.raise(NAME, `Links lead to hosts that EXOTEL_RECORDING_HOSTS does not name: ${[...timers.keys()].join(', ')}`)
  }
}
