import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { basename, extname } from 'node:path'
import type { Fault } from './faults.ts'

/** A call as the stand-in Exotel remembers it. */
export interface SimulatedCall {
  callSid: string
  fault: Fault
  status: 'completed' | 'busy' | 'no-answer' | 'failed'
  recording: { fileName: string; contentType: string; bytes: Buffer; sha256: string; etag: string } | undefined
  startedAt: Date
  endedAt: Date
  durationSeconds: number
  /** When the recording can be had. */
  availableAt: Date
  /** How often the recording was asked for. */
  requests: number
  /** Set for a further recording of that call, which only a webhook names. */
  partOf?: string
}

const CONTENT_TYPES: Record<string, string> = { '.mp3': 'audio/mpeg', '.wav': 'audio/wav' }

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

export function makeCall(plan: CallPlan, now: Date): SimulatedCall {
  const durationSeconds = plan.durationSeconds ?? 42
  const endedAt = plan.endedAt ?? now
  return {
    callSid: plan.callSid ?? randomBytes(16).toString('hex'),
    fault: plan.fault,
    status: plan.status ?? 'completed',
    recording: plan.recording === undefined ? undefined : readRecording(plan.recording),
    startedAt: new Date(endedAt.getTime() - durationSeconds * 1000),
    endedAt,
    durationSeconds,
    availableAt: endedAt,
    requests: 0,
  }
}

function readRecording(path: string): SimulatedCall['recording'] {
  const bytes = readFileSync(path)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const contentType = CONTENT_TYPES[extname(path).toLowerCase()] ?? 'application/octet-stream'
  return { fileName: basename(path), contentType, bytes, sha256, etag: `"${sha256.slice(0, 32)}"` }
}
