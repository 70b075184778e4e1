import { randomBytes } from 'node:crypto'
import type { Fault } from './faults.ts'
import { sourceOf } from './send-recording.ts'
import { earlierVersion, readRecording, type Recording } from './versions.ts'

/** A simulated call and its recording. */
export interface SimulatedCall {
  callSid: string
  fault: Fault
  status: 'completed' | 'busy' | 'no-answer' | 'failed'
  /** The current version of the file. Undefined if nothing was recorded. */
  recording: Recording | undefined
  /** The version for the first request, if the file changes. */
  earlier?: Recording
  startedAt: Date
  endedAt: Date
  durationSeconds: number
  /** When the recording becomes available. */
  availableAt: Date
  /** Number of requests for the recording. */
  requests: number
  /** For a further recording: the CallSid of its call. It is named only in a webhook. */
  partOf?: string
  /** The plain link is refused even with the account's key. */
  signedLinksOnly: boolean
}

/** Faults that delay the recording: minutes from the call's end until it is served. The product waits for at most one hour. */
const AVAILABLE_AFTER_MINUTES: Partial<Record<Fault, number>> = {
  'link-expires': 3,
  'late-recording': 55,
  'rate-limited-long': 55,
  'passthru-early': 1,
  'call-unknown-first': 12,
  'empty-first': 12,
  'refused-first': 12,
}
/** Faults with a call that continues after the first event to `call-end`: minutes until it ends. */
const ENDS_AFTER_MINUTES: Partial<Record<Fault, number>> = { 'passthru-early': 15 }

export interface CallPlan {
  fault: Fault
  status?: SimulatedCall['status']
  /** Path of the recorded file. If absent, nothing was recorded. */
  recording?: string | undefined
  durationSeconds?: number
  callSid?: string
  /** When the call ended. Default: now. */
  endedAt?: Date
  /** No webhooks are sent for this call. */
  untold?: boolean
}

/** @param waitScale factor for all times, see `RECORDING_WAIT_SCALE` */
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

/** True if the call has ended. */
export function hasEnded({ endedAt }: SimulatedCall): boolean {
  return Date.now() >= endedAt.getTime()
}

/** True if the recording is available. */
export function isAvailable({ availableAt }: SimulatedCall): boolean {
  return Date.now() >= availableAt.getTime()
}
