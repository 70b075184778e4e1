// A company's calls: of every kind, at random moments, with every misbehaviour of Exotel's mixed in.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { CallPlan } from '../simulator/call.ts'
import { FAULTS, type Fault } from '../simulator/faults.ts'
import type { Simulator } from '../simulator/server.ts'
import { pick, type Random } from './plan.ts'
import type { Truth } from './truth.ts'

const SAMPLES = ['agent-mulaw.wav', 'inbound-dual.mp3', 'outbound-mono.mp3', 'short-vbr-id3.mp3', 'voicemail-pcm.wav']
const FAULT_NAMES = Object.keys(FAULTS) as Fault[]
const HEALED = FAULT_NAMES.filter((name) => FAULTS[name].ends === 'stored' && name !== 'none')
const LASTING = FAULT_NAMES.filter((name) => FAULTS[name].ends === 'failed')
/** Soon enough that it meets the first one's way. */
const FURTHER_WITHIN_MS = 4000

interface PlannedCall {
  atMs: number
  plan: CallPlan
  furtherAfterMs?: number
}

/** @param folder for recordings of its own making */
export function planTraffic(random: Random, { calls, minutes, folder }: { calls: number; minutes: number; folder: string }): PlannedCall[] {
  mkdirSync(folder, { recursive: true })
  const damaged = join(folder, 'damaged.wav')
  const whole = readFileSync(sample('voicemail-pcm.wav'))
  writeFileSync(damaged, whole.subarray(0, Math.floor(whole.length * 0.6)))
  return Array.from({ length: calls }, () => ({ atMs: Math.round(random() * minutes * 60_000), ...planCall(random, damaged) })).toSorted(
    (a, b) => a.atMs - b.atMs,
  )
}

/** Makes the calls at their moments; resolves once Exotel has nothing more to tell. */
export async function makeTraffic(simulator: Simulator, planned: PlannedCall[], random: Random): Promise<Truth> {
  const began = performance.now()
  const unknowable = new Set<string>()
  const telling: Promise<unknown>[] = []
  for (const { atMs, plan, furtherAfterMs } of planned) {
    await pause(Math.max(0, atMs - (performance.now() - began)))
    const { call, told } = simulator.call(plan)
    telling.push(told)
    if (furtherAfterMs === undefined) continue
    const recording = sample(
      pick(
        random,
        SAMPLES.filter((name) => name !== call.recording?.fileName),
      ),
    )
    telling.push(
      pause(furtherAfterMs).then(async () => {
        const { link, acknowledged } = await simulator.further(call, recording)
        if (!acknowledged) unknowable.add(link)
      }),
    )
  }
  await Promise.all(telling)
  return truthOf(simulator, unknowable)
}

function planCall(random: Random, damaged: string): Omit<PlannedCall, 'atMs'> {
  const kind = random()
  const recording = sample(pick(random, SAMPLES))
  if (kind < 0.07) return { plan: { fault: 'none', status: pick(random, ['busy', 'no-answer', 'failed'] as const), durationSeconds: 0 } }
  if (kind < 0.12) return { plan: { fault: 'none', recording, untold: true } }
  if (kind < 0.14) return { plan: { fault: 'none', recording: damaged } }
  if (kind < 0.19) return { plan: { fault: pick(random, LASTING), recording } }
  if (kind < 0.55) return { plan: { fault: pick(random, HEALED), recording } }
  if (kind < 0.65) return { plan: { fault: 'none', recording }, furtherAfterMs: random() * FURTHER_WITHIN_MS }
  return { plan: { fault: 'none', recording } }
}

function truthOf(simulator: Simulator, unknowable: Set<string>): Truth {
  const calls: Truth['calls'] = {}
  for (const call of simulator.calls.values()) {
    const truth = (calls[call.partOf ?? call.callSid] ??= { status: call.status, recordings: [] })
    if (!call.recording) continue
    const link = simulator.linkTo(call)
    const ends = call.recording.fileName === 'damaged.wav' ? 'quarantined' : FAULTS[call.fault].ends
    truth.recordings.push({
      link,
      ends,
      sha256: call.recording.sha256,
      bytes: call.recording.bytes.length,
      unknowable: unknowable.has(link),
    })
  }
  return { calls, privateTexts: ['9876543210', '8045678901'] }
}

function sample(name: string): string {
  return fileURLToPath(new URL(`../simulator/recordings/${name}`, import.meta.url))
}
