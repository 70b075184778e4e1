// What an operator sees of a run: the query `status`, the Web UI's current details, search attributes.
import {
  ApplicationFailure,
  condition,
  defineQuery,
  setCurrentDetails,
  setHandler,
  sleep,
  upsertSearchAttributes,
} from '@temporalio/workflow'
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common'
import { FAILURE_CODE_ATTRIBUTE, RECORDING_STATE_ATTRIBUTE, STATUS_QUERY } from './contracts/names.ts'
import type { Conclusion, EndedCall, RecordingStatus } from './contracts/recording.ts'

const statusQuery = defineQuery<RecordingStatus>(STATUS_QUERY)
const stateKey = defineSearchAttributeKey(RECORDING_STATE_ATTRIBUTE, SearchAttributeType.KEYWORD)
const codeKey = defineSearchAttributeKey(FAILURE_CODE_ATTRIBUTE, SearchAttributeType.KEYWORD)

export interface Progress {
  step(step: string, detail: string): void
  pause(ms: number, why: string): Promise<void>
  /** Until the condition holds or the time has come. */
  waitFor(holds: () => boolean, untilMs: number, why: string): Promise<void>
  concluded(conclusion: Conclusion): void
  status(): RecordingStatus
  /** @throws ApplicationFailure with the code of a recording that the call still lacks */
  throwIfMissing(): void
}

export function trackProgress({ callSid }: EndedCall): Progress {
  let status: RecordingStatus = { callSid, step: 'start', since: now(), detail: '', concluded: [] }
  const conclusions = new Map<string, Conclusion>()
  setHandler(statusQuery, () => status)

  return {
    step,
    async pause(ms, why) {
      step('wait', `${why}, at ${iso(Date.now() + ms)}`)
      await sleep(ms)
    },
    async waitFor(holds, untilMs, why) {
      if (untilMs <= Date.now()) return
      step('wait', `${why}; Exotel is asked at ${iso(untilMs)}`)
      await condition(holds, untilMs - Date.now())
    },
    concluded(conclusion) {
      conclusions.set(conclusion.sourceUrl ?? '', conclusion)
      if (conclusion.sourceUrl !== undefined) conclusions.delete('')
      const { outcome } = conclusion
      step('concluded', outcome.state)
      status = { ...status, concluded: [...conclusions.values()].map(summary) }
      const missing = worst()
      upsertSearchAttributes([
        { key: stateKey, value: missing?.outcome.state ?? outcome.state },
        { key: codeKey, value: missing ? codeOf(missing) : null },
      ])
    },
    status: () => status,
    throwIfMissing() {
      const missing = worst()
      if (missing && 'error' in missing.outcome) throw ApplicationFailure.nonRetryable(missing.outcome.error, missing.outcome.code)
    },
  }

  function step(name: string, detail: string): void {
    status = { ...status, step: name, since: now(), detail }
    setCurrentDetails(`**${name}** since ${status.since}: ${detail}`)
  }

  function worst(): Conclusion | undefined {
    return [...conclusions.values()].find(({ outcome }) => 'code' in outcome)
  }
}

function summary({ sourceUrl, outcome }: Conclusion): RecordingStatus['concluded'][number] {
  return { ...(sourceUrl !== undefined && { sourceUrl }), state: outcome.state, ...('code' in outcome && { code: outcome.code }) }
}

function codeOf({ outcome }: Conclusion): string {
  return 'code' in outcome ? outcome.code : ''
}

function now(): string {
  return iso(Date.now())
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}
