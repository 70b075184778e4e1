// Calls during a drill, and the comparison of everything that is stored with what Exotel had.
import { statSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Fault } from '../../testing/simulator/faults.ts'
import { check, type Findings } from '../../testing/chaos/checker.ts'
import type { GroundTruth } from '../../testing/chaos/ground-truth.ts'
import type { Deployment } from './deployment.ts'

export interface Traffic {
  /** Makes calls until the work has ended, and at least for some seconds before it begins. */
  during<T>(work: () => Promise<T>): Promise<T>
  makeCalls(count: number): Promise<void>
  /** @throws unless the recording of every call made so far is stored, once, with the right bytes */
  assertAllStored(): Promise<void>
  count(): number
}

const RECORDING = 'testing/simulator/recordings/outbound-mono.mp3'
/** What Exotel does with the calls, in turn; each recording can be stored. Slow and interrupted ones are under way at any moment. */
const FAULTS: Fault[] = ['none', 'slow-drip', 'cut', 'none', 'redirect-s3', 'slow-drip', 'server-error', 'duplicate']
const PAUSE_MS = 1000
const BEFORE_WORK_MS = 3000
const ORDER_LIMIT_MS = 10_000
/** Calls whose webhooks were lost are found in Exotel's list, which is read once a minute here. */
const STORED_WITHIN_MS = 8 * 60_000
const POLL_MS = 3000

/** @param signal ends the wait for recordings */
export function openTraffic(deployment: Deployment, { print, signal }: { print: (text: string) => void; signal: AbortSignal }): Traffic {
  const bytes = statSync(fileURLToPath(new URL(`../../${RECORDING}`, import.meta.url))).size
  const truth: GroundTruth = { calls: {}, privateTexts: ['9876543210', '8045678901'] }
  const count = (): number => Object.keys(truth.calls).length

  async function makeCall(): Promise<void> {
    const fault = FAULTS[count() % FAULTS.length]!
    const { callSid, sha256, link } = await orderCall(deployment.simulatorUrl, fault)
    truth.calls[callSid] = {
      status: 'completed',
      recordings: [{ link, versions: [{ sha256, bytes }], ends: 'stored', unacknowledged: false }],
    }
  }

  return {
    count,
    async makeCalls(wanted) {
      for (let made = 0; made < wanted; made += 1) await makeCall()
    },
    async during(work) {
      const over = new AbortController()
      const calling = (async () => {
        for (; !over.signal.aborted; await pause(PAUSE_MS)) await makeCall()
      })()
      try {
        await Promise.race([pause(BEFORE_WORK_MS), calling])
        return await work()
      } finally {
        over.abort()
        await calling
      }
    },
    async assertAllStored() {
      const places = await deployment.places()
      let found: string[] = []
      for (const deadline = Date.now() + STORED_WITHIN_MS; Date.now() < deadline; await pause(POLL_MS, undefined, { signal })) {
        found = await check(truth, places).then(faultsIn, (error: unknown) => [`The check failed: ${String(error)}`])
        if (found.length === 0) return print(`${count()} recordings are stored, each once`)
        print(`Waiting for ${count()} recordings; ${found.length} findings: ${found[0]}`)
      }
      throw new Error(`Not stored, or not once, after ${STORED_WITHIN_MS / 1000} s:\n${found.join('\n')}`)
    },
  }
}

function faultsIn({ lost, duplicated, wrong, orphans, leaked }: Findings): string[] {
  return [...lost, ...duplicated, ...wrong, ...orphans, ...leaked]
}

async function orderCall(simulatorUrl: string, fault: Fault): Promise<{ callSid: string; sha256: string; link: string }> {
  const response = await fetch(`${simulatorUrl}/simulator/calls`, {
    method: 'POST',
    body: JSON.stringify({ fault, recording: RECORDING }),
    signal: AbortSignal.timeout(ORDER_LIMIT_MS),
  })
  if (!response.ok) throw new Error(`The simulator refuses a call: ${await response.text()}`)
  return (await response.json()) as { callSid: string; sha256: string; link: string }
}
