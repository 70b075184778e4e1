// RecordingWorkflow under random histories: what Exotel, the activities and the signals do is drawn; what must hold is checked.
import fc from 'fast-check'
import { concludeRecording } from '../../calls/conclude-recording.ts'
import { nameRecording } from '../../calls/recording-facts.ts'
import type { Database } from '../../platform/database.ts'
import type { CallDetailsAnswer, CallUpdate, Conclusion } from '../../contracts/recording.ts'
import { RECOVERY } from './activities.ts'
import { DAMAGED, failedAttempt, retriedLater, POLICY, type Lab, type Run, type Script } from './workflow-lab.ts'

const MINUTE = 60_000
const LINKS = ['A', 'B', 'C'].map((name) => `https://recordings.exotel.com/a/${name}.mp3`)
const RANKS = { none: 0, awaiting: 1, not_recorded: 2, failed: 2, quarantined: 2, stored: 3, erased: 4 } as const

/** What becomes of one try to bring a link's recording. */
const TRIES = [
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
  'store away',
  'spool full',
  'a crash',
] as const
type Try = (typeof TRIES)[number]

export interface History {
  first: Partial<CallUpdate>
  later: { afterMs: number; news: Partial<CallUpdate> }[]
  tries: Record<string, Try[]>
  answers: CallDetailsAnswer[]
  renewed: boolean
  /** Short histories continue as new in the middle of everything. */
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
const tries = fc.array(fc.constantFrom(...TRIES), { maxLength: 5 })

export const histories: fc.Arbitrary<History> = fc.record({
  first: news,
  later: fc.array(fc.record({ afterMs: fc.constantFrom(0, 1000, 4.5 * MINUTE, 95 * MINUTE), news }), { maxLength: 3 }),
  tries: fc.record(Object.fromEntries(LINKS.map((link) => [link, tries]))),
  answers: fc.array(
    fc.constantFrom<CallDetailsAnswer>(
      { kind: 'none' },
      { kind: 'named', sourceUrl: LINKS[0]! },
      { kind: 'unavailable', reason: 'away' },
      { kind: 'unknown call' },
    ),
    { maxLength: 4 },
  ),
  renewed: fc.boolean(),
  continueAsNewAfterEvents: fc.constantFrom(10_000, 150),
})

/** Plays one history to its end and checks what must hold whatever has happened. */
export async function play(lab: Lab, database: Database, history: History): Promise<void> {
  const left = structuredClone(history.tries)
  const answers = [...history.answers]
  const spool = new Set<string>()
  const brought = new Map<string, 'stored' | 'quarantined'>()
  const inHand = new Map<string, Try>()
  const uploadsAway = new Map<string, number>()
  const ranks: number[] = []
  let conclusions = 0
  const counted = new Map<string, number>()
  const cameFar = new Set<string>()
  let mostCounted = 0
  let run: Run
  const fail = (code: string, details: object = {}): Promise<never> => Promise.reject(failedAttempt(code, details))

  const script: Script = {
    downloadRecording: async ({ sourceUrl }) => {
      const outcome = left[sourceUrl]?.shift() ?? 'whole'
      inHand.set(sourceUrl, outcome)
      if (outcome === 'far and cut' && !cameFar.has(sourceUrl)) counted.delete(sourceUrl) // that attempt was worth it
      if (outcome === 'far and cut') cameFar.add(sourceUrl)
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
      const outcome = inHand.get(file)
      if (outcome === 'file lost before validation' || outcome === 'a login page') spool.delete(file)
      if (outcome === 'file lost before validation') return fail('SpoolFileLost')
      if (outcome === 'a login page') return { kind: 'refused', reason: 'HTML' }
      const audio = { contentType: 'audio/mpeg', extension: 'mp3' }
      return outcome === 'damaged' ? DAMAGED : { kind: 'good', etag: 'e', audio }
    },
    uploadRecording: async ({ spooled: { file, broken }, verdict }) => {
      const outcome = broken ? 'damaged' : inHand.get(file)
      if (outcome === 'file lost before upload') {
        spool.delete(file)
        return fail('SpoolFileLost')
      }
      const away = (uploadsAway.get(file) ?? 0) + 1
      uploadsAway.set(file, away)
      if (outcome === 'store away' && away <= 3) throw retriedLater('StorageUnavailable', 5 * MINUTE)
      spool.delete(file)
      if (brought.get(file) !== 'stored') brought.set(file, verdict.kind === 'good' ? 'stored' : 'quarantined')
      return { bucket: 'b', key: `recordings/${file.at(-5)}`, url: `https://s3/b/recordings/${file.at(-5)}` }
    },
    updateCall: async (conclusion: Conclusion) => {
      counted.delete(conclusion.sourceUrl ?? '')
      cameFar.delete(conclusion.sourceUrl ?? '')
      await concludeRecording(database, conclusion, { attempt: `${run.callSid}/${(conclusions += 1)}`, plan: RECOVERY })
      const { recordingState } = await database.call.findUniqueOrThrow({ where: { callSid: conclusion.callSid } })
      ranks.push(RANKS[recordingState as keyof typeof RANKS])
    },
    findRecording: async () => {
      const answer = answers.shift() ?? { kind: 'none' }
      if (answer.kind === 'named') await nameRecording(database, run.callSid, { sourceUrl: answer.sourceUrl })
      return answer
    },
    renewAccess: async () => ({ kind: history.renewed ? 'renewed' : 'refused' }),
    keepIncomplete: async ({ sourceUrl }) => {
      const kept = { queue: 'spool-lab', file: sourceUrl, bytes: 10, sha256: 'a'.repeat(64), broken: { reason: 'cut' } }
      return spool.has(sourceUrl) ? { spooled: kept } : {}
    },
    discardRecording: async ({ sourceUrl }) => void spool.delete(sourceUrl),
  }
  const { continueAsNewAfterEvents } = history
  run = await lab.start(history.first, script, { policy: { ...POLICY, continueAsNewAfterEvents } })
  for (const { afterMs, news: told } of history.later) {
    if (afterMs > 0) await lab.env.sleep(afterMs)
    await untilNotAsking(run)
    await run.tell(told)
  }
  await run.settled()
  must(mostCounted <= 3, `${mostCounted} tries in a row were Exotel's fault`)

  const rows = await database.recording.findMany({ where: { callSid: run.callSid } })
  const call = await database.call.findUniqueOrThrow({ where: { callSid: run.callSid } })
  const named = new Set([history.first, ...history.later.map((each) => each.news)].flatMap(({ sourceUrls = [] }) => sourceUrls))
  const states = new Map(rows.map(({ sourceUrl, state }) => [sourceUrl, state]))
  for (const link of named) must(states.has(link) && states.get(link) !== 'awaiting', `${link} was named and not concluded`)
  for (const [link, state] of states) {
    const best = brought.get(link)
    if (best === 'stored') must(state === 'stored', `${link} was uploaded, but its row says ${state}`)
    else must(state !== 'stored', `${link} was never uploaded, but its row says stored`)
  }
  if (rows.length === 0)
    must(['not_recorded', 'failed'].includes(call.recordingState), `without recordings the call is ${call.recordingState}`)
  else {
    const among = [...states.values()]
    const fits = among.includes('stored') ? call.recordingState === 'stored' : among.includes(call.recordingState)
    must(fits, `the call is ${call.recordingState}, its recordings ${among.join()}`)
  }
  must(spool.size === 0, `${[...spool].join()} is left in the spool`)
  must(
    ranks.every((rank, index) => index === 0 || rank >= ranks[index - 1]!),
    `the call's state went down: ${ranks.join()}`,
  )
}

/**
 * The test server, other than a real one, stands still for ever where a workflow cancels an activity that completes in the same
 * moment, as a link does that comes while Exotel is asked. `npm run chaos` meets that on a real server.
 */
async function untilNotAsking(run: Run): Promise<void> {
  while ((await run.status()).step === 'find');
}

function must(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise)
}
