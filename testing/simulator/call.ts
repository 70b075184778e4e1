import { randomBytes } from 'node:crypto'
import type { Fault } from './faults.ts'
import { sourceOf } from './recording-server.ts'
import { earlierVersion, readRecording, type Recording } from './versions.ts'

/** A call as the stand-in Exotel remembers it. */
export interface SimulatedCall {
  callSid: string
  fault: Fault
  status: 'completed' | 'busy' | 'no-answer' | 'failed'
  /** The present version of its file. */
  recording: Recording | undefined
  /** The version that the first request gets, where the file changes. */
  earlier?: Recording
  startedAt: Date
  endedAt: Date
  durationSeconds: number
  /** When the recording can be had. */
  availableAt: Date
  /** How often the recording was asked for. */
  requests: number
  /** Set for a further recording of that call, which only a webhook names. */
  partOf?: string
  /** The plain link is refused, also with the account's key. */
  signedLinksOnly: boolean
}

/** Minutes from the call's end until its recording is served, for the faults that delay it. Those of one hour at most are waited for. */
const AVAILABLE_AFTER_MINUTES: Partial<Record<Fault, number>> = {
  'link-expires': 3,
  'late-recording': 55,
  'rate-limited-long': 55,
  'passthru-early': 1,
  'call-unknown-first': 12,
  'empty-first': 12,
  'refused-first': 12,
}
/** A call that goes on when the first event to `call-end` is sent ends later. */
const ENDS_AFTER_MINUTES: Partial<Record<Fault, number>> = { 'passthru-early': 15 }

export interface CallPlan {
  fault: Fault
  status?: SimulatedCall['status']
  /** Path of the file that Exotel has recorded; absent: nothing was recorded. */
  recording?: string | undefined
  durationSeconds?: number
  callSid?: string
  /** When the call ended; now unless said. */
  endedAt?: Date
  /** None of its webhooks is ever sent. */
  untold?: boolean
}

/** @param waitScale of a real minute, see `RECORDING_WAIT_SCALE` */
export function makeCall(plan: CallPlan, { now, waitScale }: { now: Date; waitScale: number }): SimulatedCall {
  const { fault } = plan
  const durationSeconds = plan.durationSeconds ?? 42
  const minuteMs = 60_000 * waitScale
  const endedAt = plan.endedAt ?? new Date(now.getTime() + (ENDS_AFTER_MINUTES[fault] ?? 0) * minuteMs)
  const recording = plan.recording === undefined ? undefined : readRecording(plan.recording, now)
  const { change } = sourceOf(fault)
  return {
    callSid: plan.callSid ?? randomBytes(16).toString('hex'),
    fault,
    status: plan.status ?? 'completed',
    recording,
    ...(recording && change && { earlier: earlierVersion(recording, change) }),
    startedAt: new Date(endedAt.getTime() - durationSeconds * 1000),
    endedAt,
    durationSeconds,
    availableAt: new Date(endedAt.getTime() + (AVAILABLE_AFTER_MINUTES[fault] ?? 0) * minuteMs),
    requests: 0,
    signedLinksOnly: fault === 'link-expires',
  }
}

/** The call is over. */
export function hasEnded({ endedAt }: SimulatedCall): boolean {
  return Date.now() >= endedAt.getTime()
}

/** The recording can be had. */
export function isAvailable({ availableAt }: SimulatedCall): boolean {
  return Date.now() >= availableAt.getTime()
}
