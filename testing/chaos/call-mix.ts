// Plans the calls of a run. Each class has a fixed share, so that a short run has several calls of each class. The rest is random.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { CallPlan } from '../simulator/call.ts'
import { FAULTS, type Fault } from '../simulator/faults.ts'
import { pick, type Random } from './plan.ts'

export interface PlannedCall {
  atMs: number
  plan: CallPlan & { callSid: string }
  /** A second recording, which is named only in a webhook. */
  further?: { afterMs: number; recording: string; link: 'plain' | 'expiring' }
}

const SAMPLES = ['agent-mulaw.wav', 'inbound-dual.mp3', 'outbound-mono.mp3', 'short-vbr-id3.mp3', 'voicemail-pcm.wav']
const CHANGED_FILES: readonly Fault[] = [
  'changed-etag',
  'changed-last-modified',
  'changed-weak-etag',
  'changed-length',
  'changed-total-unknown',
  'changed-unannounced',
  'if-range-ignored',
  'if-range-ignored-date',
  'if-range-ignored-bare',
]
const UNUSUAL_SERVERS: readonly Fault[] = [
  'range-ignored',
  'range-moved',
  'range-short',
  'range-refused',
  'range-total-unknown',
  'connection-close',
  'chunked',
  'chunked-cut',
]
const CALL_FLOWS: readonly Fault[] = ['passthru', 'passthru-no-link', 'passthru-early']
const CORRECT_LATER: readonly Fault[] = ['call-unknown-first', 'empty-first', 'refused-first']
const LATE: readonly Fault[] = ['late-recording', 'rate-limited-long']
/** Faults outside the class of transient ones. `until-close` is never used: if such a transfer is cut, the file looks complete. */
const EXCLUDED: readonly Fault[] = [
  'none',
  'until-close',
  ...CHANGED_FILES,
  ...UNUSUAL_SERVERS,
  ...LATE,
  ...CALL_FLOWS,
  ...CORRECT_LATER,
  'link-expires',
]
const NAMES = Object.keys(FAULTS) as Fault[]
const PERMANENT = NAMES.filter((name) => FAULTS[name].ends !== 'stored')
const TRANSIENT = NAMES.filter((name) => FAULTS[name].ends === 'stored' && !EXCLUDED.includes(name))
const UNANSWERED = ['busy', 'no-answer', 'failed'] as const
/** So early that the first recording is still being processed. */
const FURTHER_WITHIN_MS = 4000

type Draft = Omit<PlannedCall, 'atMs' | 'plan'> & { plan: CallPlan }
interface CallClass {
  /** Share of all calls. */
  share: number
  /** @param nth position of the call in its class, from 0 to 1. It distributes the faults of a class evenly */
  draft: (random: Random, nth: number, damaged: string) => Draft
}

const CLASSES: CallClass[] = [
  { share: 0.05, draft: (random) => ({ plan: { fault: 'none', status: pick(random, UNANSWERED), durationSeconds: 0 } }) },
  { share: 0.02, draft: (random) => ({ plan: { fault: 'passthru', status: pick(random, UNANSWERED), durationSeconds: 0 } }) },
  { share: 0.06, draft: oneOf(CALL_FLOWS) },
  { share: 0.05, draft: oneOf(CORRECT_LATER) },
  { share: 0.05, draft: (random) => ({ plan: { fault: 'none', recording: anySample(random), untold: true } }) },
  { share: 0.02, draft: (_random, _nth, damaged) => ({ plan: { fault: 'none', recording: damaged } }) },
  { share: 0.06, draft: oneOf(PERMANENT) },
  { share: 0.13, draft: oneOf(TRANSIENT) },
  { share: 0.15, draft: oneOf(CHANGED_FILES) },
  { share: 0.12, draft: oneOf(UNUSUAL_SERVERS) },
  { share: 0.05, draft: oneOf(['link-expires']) },
  { share: 0.04, draft: oneOf(LATE) },
  { share: 0.06, draft: (random, nth) => withFurther(random, at(LATE, nth), 'expiring') },
  { share: 0.08, draft: (random) => withFurther(random, 'none', 'plain') },
]

/** Plans the calls of a run in the order of their start times. @param folder for generated recordings */
export function planCalls(random: Random, { calls, minutes, folder }: { calls: number; minutes: number; folder: string }): PlannedCall[] {
  const damaged = makeDamaged(folder)
  return Array.from({ length: calls }, (_, index) => {
    const { plan, ...rest } = draftAt((index + random()) / calls, random, damaged)
    return { atMs: Math.round(random() * minutes * 60_000), plan: { ...plan, callSid: drawCallSid(random) }, ...rest }
  }).toSorted((a, b) => a.atMs - b.atMs)
}

/** True if a delay would lose a recording: the link to the second recording expires. */
export function isUrgent({ further }: PlannedCall): boolean {
  return further?.link === 'expiring'
}

function draftAt(position: number, random: Random, damaged: string): Draft {
  let from = 0
  for (const { share, draft } of CLASSES) {
    if (position < from + share) return draft(random, (position - from) / share, damaged)
    from += share
  }
  return { plan: { fault: 'none', recording: anySample(random) } }
}

function oneOf(faults: readonly Fault[]): CallClass['draft'] {
  return (random, nth) => ({ plan: { fault: at(faults, nth), recording: anySample(random) } })
}

function withFurther(random: Random, fault: Fault, link: 'plain' | 'expiring'): Draft {
  const recording = anySample(random)
  const other = pick(
    random,
    SAMPLES.map(sample).filter((path) => path !== recording),
  )
  return { plan: { fault, recording }, further: { afterMs: random() * FURTHER_WITHIN_MS, recording: other, link } }
}

function at<T>(from: readonly T[], nth: number): T {
  return from[Math.floor(nth * from.length)]!
}

function anySample(random: Random): string {
  return sample(pick(random, SAMPLES))
}

function sample(name: string): string {
  return fileURLToPath(new URL(`../simulator/recordings/${name}`, import.meta.url))
}

function makeDamaged(folder: string): string {
  mkdirSync(folder, { recursive: true })
  const damaged = join(folder, 'damaged.wav')
  const whole = readFileSync(sample('voicemail-pcm.wav'))
  writeFileSync(damaged, whole.subarray(0, Math.floor(whole.length * 0.6)))
  return damaged
}

function drawCallSid(random: Random): string {
  return Array.from({ length: 32 }, () => Math.floor(random() * 16).toString(16)).join('')
}
