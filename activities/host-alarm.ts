// The alarm about hosts of links that the settings do not name.
import type { Dependencies } from './dependencies.ts'
import { createLastingAlarm, type LastingAlarm } from './lasting-alarm.ts'

/** Beyond the longest pause of recovery: its own timer, and the time until the workflow runs. */
const SLACK_MS = 3600_000

/**
 * Stands as long as links are refused for their host, and names the hosts. Settings are read at start, so a host that is refused
 * stays refused in this process, and no download can tell that the fault is over. But recovery tries every failed recording
 * again, on one worker or another: where this one has not refused a host for longer than recovery's longest pause, the alarm about
 * that host ends here. It also ends with the process, which is how a changed setting takes effect.
 */
export function createHostAlarm({ alarms, recovery, waitScale }: Pick<Dependencies, 'alarms' | 'recovery' | 'waitScale'>): LastingAlarm {
  return createLastingAlarm(alarms, {
    name: 'RecordingHostNotAllowed',
    quietMs: Math.max(0, ...recovery.plan.pausesMs) + SLACK_MS * waitScale,
    reason: (hosts) =>
      `Links lead to hosts that neither EXOTEL_RECORDING_HOSTS nor EXOTEL_PUBLIC_RECORDING_HOSTS names: ${hosts.join(', ')}`,
  })
}
