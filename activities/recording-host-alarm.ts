// The alarm about links to hosts that the settings do not allow.
import type { Dependencies } from './dependencies.ts'
import { createExpiringAlarm, type ExpiringAlarm } from './expiring-alarm.ts'

/** Added to the longest pause of recovery: covers the interval of recovery's schedule and the time until the workflow runs. */
const SLACK_MS = 3600_000

/**
 * The alarm stays raised while links are refused because of their host, and names the hosts. Settings are read when the process starts, so
 * a refused host stays refused in this process, and no successful download can clear the alarm. But recovery retries every failed recording
 * on some worker. So if this worker has not refused a host for longer than recovery's longest pause, the host is removed from the alarm.
 * A restart, which applies changed settings, also clears the alarm.
 */
export function createRecordingHostAlarm({
  alarms,
  recovery,
  waitScale,
}: Pick<Dependencies, 'alarms' | 'recovery' | 'waitScale'>): ExpiringAlarm {
  return createExpiringAlarm(alarms, {
    name: 'RecordingHostNotAllowed',
    quietMs: Math.max(0, ...recovery.plan.pausesMs) + SLACK_MS * waitScale,
    reason: (hosts) =>
      `Recording links have hosts that are neither in EXOTEL_RECORDING_HOSTS nor in EXOTEL_PUBLIC_RECORDING_HOSTS: ${hosts.join(', ')}`,
  })
}
