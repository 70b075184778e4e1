// Runs RecordingWorkflow with random results of Exotel and of activities and with random signals, and checks its invariants.
import fc from 'fast-check'
import { pino } from 'pino'
import { ApplicationFailure } from '@temporalio/common'
import { withAttempt, type ActivityAttempt } from '../../activities/attempt.ts'
import { RetryLater } from '../../activities/failures.ts'
import { createFastTransfer } from '../../activities/fast-transfer.ts'
import { createFindOutcome } from '../../activities/find-outcome.ts'
import { concludeRecording } from '../../calls/conclude-recording.ts'
import { nameRecording } from '../../calls/recording-facts.ts'
import type { Database } from '../../platform/database.ts'
import type { CallDetailsAnswer, CallUpdate, Conclusion } from '../../contracts/recording.ts'
import { RECOVERY } from './activities.ts'
import { DAMAGED, failedAttempt, retriedLater, POLICY, type Harness, type Run, type Script } from './workflow-harness.ts'

const MINUTE = 60_000
const LINKS = ['A', 'B', 'C'].map((name) => `https://recordings.exotel.com/a/${name}.mp3`)
const RANKS = { none: 0, awaiting: 1, not_recorded: 2, failed: 2, quarantined: 2, stored: 3, erased: 4 } as const

/** The results of one attempt to transfer a recording. */
const RESULTS = [
  'whole',
  'not found',
  'rate limited',
  'cut',
  'far and cut',
  'unavailable',
  'expired',
  'refused to us',
  'a login page',
  'damaged',
  'file lost before validation',
  'file lost before upload',
  'store unavailable',
  'spool full',
  'a crash',
] as const
type Result = (typeof RESULTS)[number]

export interface History {
  first: Partial<CallUpdate>
  later: { afterMs: number; news: Partial<CallUpdate> }[]
  tries: Record<string, Result[]>
  answers: CallDetailsAnswer[]
  renewed: boolean
  fastPath: boolean
  /** How many results of the fast path Temporal does not receive, although all steps were done. */
  lostResults: number
  /** With a small limit the run continues as new during transfers and waits. */
  continueAsNewAfterEvents: number
}

const links = fc.subarray(LINKS)
const news = fc.record(
  {
    sourceUrls: links,
    status: fc.constantFrom('completed', 'busy', 'no-answer'),
    durationSeconds: fc.constantFrom(3, 240),
    recovery: fc.constant(true),
  },
  { requiredKeys: ['sourceUrls'] },
)
const tries = fc.array(fc.constantFrom(...RESULTS), { maxLength: 5 })

export const histories: fc.Arbitrary<History> = fc.record({
  first: news,
  later: fc.array(fc.record({ afterMs: fc.constantFrom(0, 1000, 4.5 * MINUTE, 95 * MINUTE), news }), { maxLength: 3 }),
  tries: fc.record(Object.fromEntries(LINKS.map((link) => [link, tries]))),
  answers: fc.array(
    fc.constantFrom<CallDetailsAnswer>(
      { kind: 'none' },
      { kind: 'named', sourceUrl: LINKS[0]! },
      { kind: 'unavailable', reason: 'unavailable' },
      { kind: 'unknown call' },
    ),
    { maxLength: 4 },
  ),
  renewed: fc.boolean(),
  fastPath: fc.boolean(),
  lostResults: fc.nat({ max: 2 }),
  continueAsNewAfterEvents: fc.constantFrom(10_000, 150),
})

/** Runs one history to its end and checks the invariants. */
export async function play(harness: Harness, database: Database, history: History): Promise<void> {
  const left = structuredClone(history.tries)
  const answers = [...history.answers]
  const spool = new Set<string>()
  const uploaded = new Map<string, 'stored' | 'quarantined'>()
  const inProgress = new Map<string, Result>()
  const uploadFailures = new Map<string, number>()
  const ranks: number[] = []
  let conclusions = 0
  const counted = new Map<string, number>()
  const progressed = new Set<string>()
  let mostCounted = 0
  let run: Run
  const fail = (code: string, details: object = {}): Promise<never> => Promise.reject(failedAttempt(code, details))

  const script: Script = {
    downloadRecording: async ({ sourceUrl }) => {
      const outcome = left[sourceUrl]?.shift() ?? 'whole'
      inProgress.set(sourceUrl, outcome)
      if (outcome === 'far and cut' && !progressed.has(sourceUrl)) counted.delete(sourceUrl) // that attempt resets the count
      if (outcome === 'far and cut') progressed.add(sourceUrl)
      if (['cut', 'far and cut', 'unavailable', 'a login page'].includes(outcome)) {
        counted.set(sourceUrl, (counted.get(sourceUrl) ?? 0) + 1)
        mostCounted = Math.max(mostCounted, counted.get(sourceUrl)!)
      }
      if (outcome === 'not found') return fail('RecordingNotFound')
      if (outcome === 'rate limited') return fail('ExotelRateLimited', { retryAfterMs: MINUTE })
      if (outcome === 'unavailable') return fail('ExotelUnavailable')
      if (outcome === 'expired') return fail('RecordingExpired')
      if (outcome === 'refused to us') return fail('ExotelUnauthorized')
      if (outcome === 'a crash') return fail('InternalError')
      if (outcome === 'spool full') throw retriedLater('SpoolFull', MINUTE)
      spool.add(sourceUrl)
      if (outcome === 'cut') return fail('DownloadIncomplete', { queue: 'spool-lab', reachedBytes: 1000 })
      if (outcome === 'far and cut')
        return fail('DownloadIncomplete', { queue: 'spool-lab', reachedBytes: 2 * 1024 ** 2, resumableBytes: 2 * 1024 ** 2 })
      return { queue: 'spool-lab', file: sourceUrl, bytes: 10, sha256: 'a'.repeat(64) }
    },
    validateRecording: async ({ spooled: { file, broken } }) => {
      if (broken) return DAMAGED
      const outcome = inProgress.get(file)
      if (outcome === 'file lost before validation' || outcome === 'a login page') spool.delete(file)
      if (outcome === 'file lost before validation') return fail('SpoolFileLost')
      if (outcome === 'a login page') return { kind: 'refused', reason: 'HTML' }
      const audio = { contentType: 'audio/mpeg', extension: 'mp3' }
      return outcome === 'damaged' ? DAMAGED : { kind: 'good', etag: 'e', audio }
    },
    uploadRecording: async ({ spooled: { file, broken }, verdict }) => {
      const outcome = broken ? 'damaged' : inProgress.get(file)
      if (outcome === 'file lost before upload') {
        spool.delete(file)
        return fail('SpoolFileLost')
      }
      const failures = (uploadFailures.get(file) ?? 0) + 1
      uploadFailures.set(file, failures)
      if (outcome === 'store unavailable' && failures <= 3) throw retriedLater('StorageUnavailable', 5 * MINUTE)
      spool.delete(file)
      if (uploaded.get(file) !== 'stored') uploaded.set(file, verdict.kind === 'good' ? 'stored' : 'quarantined')
      const key = `recordings/2026/11/28/${run.callSid}-${'a'.repeat(12)}.mp3`
      return { bucket: 'b', key, url: `https://s3/b/${key}` }
    },
    updateCall: async (conclusion: Conclusion) => {
      counted.delete(conclusion.sourceUrl ?? '')
      progressed.delete(conclusion.sourceUrl ?? '')
      await concludeRecording(database, conclusion, { attempt: `${conclusion.id ?? run.callSid}/${(conclusions += 1)}`, plan: RECOVERY })
      const { recordingState } = await database.call.findUniqueOrThrow({ where: { callSid: conclusion.callSid } })
      ranks.push(RANKS[recordingState as keyof typeof RANKS])
    },
    findRecording: async () => {
      const answer = answers.shift() ?? { kind: 'none' }
      if (answer.kind === 'named') await nameRecording(database, run.callSid, { sourceUrl: answer.sourceUrl })
      return answer
    },
    renewLink: async () => ({ kind: history.renewed ? 'renewed' : 'refused' }),
    keepIncomplete: async ({ sourceUrl }) => {
      const kept = { queue: 'spool-lab', file: sourceUrl, bytes: 10, sha256: 'a'.repeat(64), broken: { reason: 'cut' } }
      return spool.has(sourceUrl) ? { spooled: kept } : {}
    },
    discardRecording: async ({ sourceUrl }) => void spool.delete(sourceUrl),
  }
  const { continueAsNewAfterEvents, fastPath } = history
  const policy = { ...POLICY, continueAsNewAfterEvents, ...(fastPath && { fastPathMaxBytes: 1000 }) }
  const fastTransfer = fastTransferOf(script, { lostResults: history.lostResults, spool, database })
  run = await harness.start(history.first, { ...script, fastTransfer }, { policy })
  for (const { afterMs, news: update } of history.later) {
    if (afterMs > 0) await harness.env.sleep(afterMs)
    await untilNoRequest(run)
    await run.signalWithStart(update)
  }
  await run.settled()
  check(mostCounted <= 3, `${mostCounted} counted failures in a row, more than the policy allows`)

  const rows = await database.recording.findMany({ where: { callSid: run.callSid } })
  const call = await database.call.findUniqueOrThrow({ where: { callSid: run.callSid } })
  const named = new Set([history.first, ...history.later.map((each) => each.news)].flatMap(({ sourceUrls = [] }) => sourceUrls))
  const states = new Map(rows.map(({ sourceUrl, state }) => [sourceUrl, state]))
  for (const link of named) check(states.has(link) && states.get(link) !== 'awaiting', `the link ${link} arrived and was not concluded`)
  for (const [link, state] of states) {
    const best = uploaded.get(link)
    if (best === 'stored') check(state === 'stored', `${link} was uploaded, but its row says ${state}`)
    else check(state !== 'stored', `${link} was never uploaded, but its row says stored`)
  }
  if (rows.length === 0)
    check(['not_recorded', 'failed'].includes(call.recordingState), `without recordings the call is ${call.recordingState}`)
  else {
    const among = [...states.values()]
    const fits = among.includes('stored') ? call.recordingState === 'stored' : among.includes(call.recordingState)
    check(fits, `the call is ${call.recordingState}, its recordings ${among.join()}`)
  }
  check(spool.size === 0, `${[...spool].join()} is left in the spool`)
  check(
    ranks.every((rank, index) => index === 0 || rank >= ranks[index - 1]!),
    `the call's state went down: ${ranks.join()}`,
  )
}

/** The fast path itself, with the scripted steps. */
function fastTransferOf(
  { downloadRecording, validateRecording, uploadRecording, updateCall }: Script,
  { lostResults, spool, database }: { lostResults: number; spool: ReadonlySet<string>; database: Database },
): NonNullable<Script['fastTransfer']> {
  const fastTransfer = createFastTransfer(
    {
      spool: { queue: 'spool-lab', fileFor: (_callSid, sourceUrl) => sourceUrl, holds: async (file) => spool.has(file) },
      breaker: { state: () => 'closed' },
      logger: pino({ level: 'silent' }),
    },
    {
      downloadRecording: asInProduct(downloadRecording!),
      validateRecording: asInProduct(validateRecording!),
      uploadRecording: asInProduct(uploadRecording!),
      updateCall: asInProduct(updateCall!),
      findOutcome: createFindOutcome({ database, store: { urlOf: (key) => `https://s3/b/${key}` } }),
    },
  )
  let left = lostResults
  return async (input) => {
    const result = await withAttempt(ATTEMPT, () => fastTransfer(input))
    if (result.kind === 'concluded' && left > 0) {
      left -= 1
      throw new Error('The worker was stopped')
    }
    return result
  }
}

const ATTEMPT: ActivityAttempt = {
  signal: new AbortController().signal,
  number: 1,
  idempotencyKey: 'model',
  scheduledMs: 0,
  reportProgress: () => {},
}

/** On the fast path, a step throws its own errors. The interceptor converts them only for an activity. */
function asInProduct<Input, Output>(step: (input: Input) => Promise<Output>): (input: Input) => Promise<Output> {
  return (input) =>
    step(input).catch((error: unknown) => {
      throw error instanceof ApplicationFailure && error.nextRetryDelay !== undefined
        ? new RetryLater('StorageUnavailable', error.message)
        : error
    })
}

/**
 * Waits until no request for Call Details is in progress. The test server, unlike a real one, blocks forever if a workflow cancels an
 * activity that completes at the same moment, which happens when a link arrives during such a request. `npm run chaos` tests this case
 * on a real server.
 */
async function untilNoRequest(run: Run): Promise<void> {
  while ((await run.status()).step === 'find');
}

function check(holds: boolean, message: string): void {
  if (!holds) throw new Error(message)
}
