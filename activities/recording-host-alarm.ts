// The alarms about hosts from which recordings are not downloaded because of our own rules.
import type { Dependencies } from './dependencies.ts'
import { createExpiringAlarm, type ExpiringAlarm } from './expiring-alarm.ts'

type Needs = Pick<Dependencies, 'alarms' | 'recovery' | 'waitScale'>

/** Added to the longest pause of recovery: covers the interval of recovery's schedule and the time until the workflow runs. */
const SLACK_MS = 3600_000

/**
 * The alarm names the hosts whose links this worker has refused. Settings are read when the process starts, so a refused host stays refused
 * in this process, and no success can clear the alarm. A host is therefore removed if this worker has not refused it for recovery's longest
 * pause plus an hour. Another worker that refuses it raises its own alarm. A restart, which applies changed settings, also clears the alarm.
 */
export function createRecordingHostAlarm(deps: Needs): ExpiringAlarm {
  return createExpiringAlarm(deps.alarms, {
    name: 'RecordingHostNotAllowed',
    quietMs: quietMsOf(deps),
    reason: (hosts) =>
      `Recording links have hosts that are neither in EXOTEL_RECORDING_HOSTS nor in EXOTEL_PUBLIC_RECORDING_HOSTS: ${hosts.join(', ')}`,
  })
}

/**
 * The alarm about allowed hosts whose redirects or DNS addresses are refused. The next download from the host clears it. Without one, it
 * ends like the alarm above.
 */
export function createDestinationAlarm(deps: Needs): ExpiringAlarm {
  return createExpiringAlarm(deps.alarms, {
    name: 'DestinationRefused',
    quietMs: quietMsOf(deps),
    reason: (hosts) =>
      `These hosts of recording links redirect to a URL without https, or to an address that is not public, or DNS returns such an address: ${hosts.join(', ')}`,
  })
}

function quietMsOf({ recovery, waitScale }: Needs): number {
  return Math.max(0, ...recovery.plan.pausesMs) + SLACK_MS * waitScale
}
