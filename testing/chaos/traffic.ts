// Makes the planned calls at their times, and returns the ground truth about them.
import { setTimeout as pause } from 'node:timers/promises'
import { FAULTS, type Fault } from '../simulator/faults.ts'
import type { Simulator } from '../simulator/server.ts'
import type { PlannedCall } from './call-mix.ts'
import type { GroundTruth } from './ground-truth.ts'

/** Resolves when all webhooks have been sent. */
export async function makeTraffic(simulator: Simulator, planned: PlannedCall[]): Promise<GroundTruth> {
  const startedAt = performance.now()
  const unacknowledged = new Set<string>()
  const sending: Promise<unknown>[] = []
  for (const { atMs, plan, further } of planned) {
    await pause(Math.max(0, atMs - (performance.now() - startedAt)))
    const { call, told } = simulator.call(plan)
    sending.push(told)
    if (!further) continue
    sending.push(
      pause(further.afterMs).then(async () => {
        const { link, acknowledged } = await simulator.further(call, further.recording, further.link)
        if (!acknowledged) unacknowledged.add(link)
      }),
    )
  }
  await Promise.all(sending)
  return truthOf(simulator, unacknowledged)
}

function endOf(fault: Fault): GroundTruth['calls'][string]['recordings'][number]['ends'] {
  const { ends } = FAULTS[fault]
  return ends === 'quarantined' ? 'incomplete' : ends
}

function truthOf(simulator: Simulator, unacknowledged: Set<string>): GroundTruth {
  const calls: GroundTruth['calls'] = {}
  for (const call of simulator.calls.values()) {
    const truth = (calls[call.partOf ?? call.callSid] ??= { status: call.status, recordings: [] })
    if (!call.recording) continue
    const link = simulator.linkTo(call)
    const versions = call.earlier ? [call.recording, call.earlier] : [call.recording]
    truth.recordings.push({
      link,
      versions: versions.map(({ sha256, bytes }) => ({ sha256, bytes: bytes.length })),
      ends: call.recording.fileName === 'damaged.wav' ? 'quarantined' : endOf(call.fault),
      unacknowledged: unacknowledged.has(link),
    })
  }
  return { calls, privateTexts: ['9876543210', '8045678901'] }
}
