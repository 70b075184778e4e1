// What operators see of a run: the query `status`, the current details in the Web UI, and search attributes.
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
import { FAILURE_CODE_ATTRIBUTE, RECORDING_STATE_ATTRIBUTE, STATUS_QUERY } from '../contracts/names.ts'
import {
  failureOf,
  type ConcludedRecording,
  type Conclusion,
  type EndedCall,
  type RecordingStatus,
  type RecordingStep,
} from '../contracts/recording.ts'
import { iso } from './iso-time.ts'

const statusQuery = defineQuery<RecordingStatus>(STATUS_QUERY)
const stateKey = defineSearchAttributeKey(RECORDING_STATE_ATTRIBUTE, SearchAttributeType.KEYWORD)
const codeKey = defineSearchAttributeKey(FAILURE_CODE_ATTRIBUTE, SearchAttributeType.KEYWORD)

export interface Progress {
  /** @param sourceUrl absent: the search for a recording */
  step(step: string, detail: string, sourceUrl?: string): void
  /** @param at ISO 8601; returns at once if it is absent or in the past */
  waitUntil(at: string | undefined, sourceUrl: string): Promise<void>
  /** Waits until the condition holds or the time is reached. */
  waitFor(holds: () => boolean, untilMs: number, why: string): Promise<void>
  concluded(conclusion: Conclusion): void
  conclusions(): ConcludedRecording[]
  /** @throws ApplicationFailure with the code of a recording that the call still lacks */
  throwIfMissing(): void
}

export function trackProgress({ callSid }: EndedCall, earlier: ConcludedRecording[] = []): Progress {
  let newest: RecordingStep = { step: 'start', since: now(), detail: '' }
  const steps = new Map<string | undefined, RecordingStep>()
  const conclusions = new Map(earlier.map((each) => [each.sourceUrl, each]))
  setHandler(statusQuery, (): RecordingStatus => ({
    callSid,
    ...newest,
    inProgress: [...steps].map(([sourceUrl, step]) => ({ ...(sourceUrl !== undefined && { sourceUrl }), ...step })),
    concluded: [...conclusions.values()],
  }))

  return {
    step,
    async waitUntil(at, sourceUrl) {
      const ms = at === undefined ? 0 : Date.parse(at) - Date.now()
      if (ms > 0) await sleep(ms, { summary: `next attempt: ${sourceUrl}` })
    },
    async waitFor(holds, untilMs, why) {
      if (untilMs <= Date.now()) return
      step('wait', `${why}; next request for Call Details at ${iso(untilMs)}`)
      await condition(holds, untilMs - Date.now(), { summary: 'until the next request for Call Details' })
    },
    concluded(conclusion) {
      const { sourceUrl, outcome } = conclusion
      conclusions.set(sourceUrl, summaryOf(conclusion))
      if (sourceUrl !== undefined) conclusions.delete(undefined)
      steps.delete(sourceUrl)
      show({ step: 'concluded', since: now(), detail: outcome.state })
      const missing = firstMissing()
      upsertSearchAttributes([
        { key: stateKey, value: missing?.state ?? outcome.state },
        { key: codeKey, value: missing?.code ?? null },
      ])
    },
    conclusions: () => [...conclusions.values()],
    throwIfMissing() {
      const missing = firstMissing()
      if (missing) throw ApplicationFailure.nonRetryable(missing.error ?? missing.state, missing.code)
    },
  }

  function step(name: string, detail: string, sourceUrl?: string): void {
    if (sourceUrl !== undefined) steps.delete(undefined) // a link has arrived, so the search has ended
    const current = { step: name, since: now(), detail }
    steps.set(sourceUrl, current)
    show(current)
  }

  function show(step: RecordingStep): void {
    newest = step
    const others = [...steps].filter(([, each]) => each !== step).map(([sourceUrl, each]) => `- ${sourceUrl}: ${describe(each)}`)
    setCurrentDetails([describe(step), ...others].join('\n'))
  }

  function firstMissing(): ConcludedRecording | undefined {
    return [...conclusions.values()].find(({ code }) => code !== undefined)
  }
}

function describe({ step, since, detail }: RecordingStep): string {
  return `**${step}** since ${since}: ${detail}`
}

function summaryOf({ sourceUrl, outcome }: Conclusion): ConcludedRecording {
  return {
    ...(sourceUrl !== undefined && { sourceUrl }),
    state: outcome.state,
    ...failureOf(outcome),
  }
}

function now(): string {
  return iso(Date.now())
}
