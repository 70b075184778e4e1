// Step 1: Exotel's recording lies whole in this worker's spool. The story is here; the transfer itself in recordings/transfer.ts.
import { linksOf, type Link } from '../calls/recording-facts.ts'
import { dropBody, readAnswer, type FailedAnswer, type RecordingAnswer } from '../exotel/recording-answer.ts'
import { requestRecording, type RecordingRequest } from '../exotel/recording-request.ts'
import { HostNotAllowed, UrlRefused } from '../exotel/url-policy.ts'
import { completeFile, isWhole, receiveInto, TooLarge, TransferBroken } from '../recordings/transfer.ts'
import type { FailureCode } from '../workflows/contracts/failures.ts'
import type { SourceRef, Spooled } from '../workflows/contracts/recording.ts'
import type { Dependencies } from './dependencies.ts'
import { endTry, giveBack } from './failures.ts'
import { diskTrouble, runActivity, SPOOL_ALARM, type Run } from './run.ts'

type Needs = Pick<Dependencies, 'database' | 'source' | 'spool' | 'alarms' | 'logger' | 'maxBytes' | 'pauses'>

const HOST_ALARM = 'RecordingHostNotAllowed'

/**
 * Goes on from the length of the file on disk where the source can; a file that is whole already is done. Fails typed: the
 * details tell the furthest byte reached, so that the workflow sees progress, and where the file lies.
 */
export function createDownloadRecording(deps: Needs) {
  return (recording: SourceRef): Promise<Spooled> =>
    runActivity(deps, recording, (run) => {
      const { callSid, sourceUrl } = recording
      const file = deps.spool.fileFor(callSid, sourceUrl)
      return deps.spool.asWriter(file, run.signal, async (signal) => {
        const [note, bytes] = await Promise.all([deps.spool.note(file), deps.spool.bytesOf(file)])
        const { complete } = note
        if (complete && complete.bytes === bytes) return { queue: deps.spool.queue, file, ...complete }
        try {
          const resume = bytes > 0 && note.validator !== undefined ? { from: bytes, validator: note.validator } : undefined
          const answer = await askForRecording(deps, await linksOf(deps.database, callSid, sourceUrl), resume, signal)
          const received = await receive(deps, run, file, answer, signal)
          deps.alarms.clear(SPOOL_ALARM)
          return { queue: deps.spool.queue, file, ...received }
        } catch (error) {
          signal.throwIfAborted()
          throw await asFailure(deps, file, error)
        }
      })
    })
}

/** The first answer that is not a failure, since a pre-signed link may be stale in any way. A refusal is the least telling failure. */
async function askForRecording(
  deps: Needs,
  links: Link[],
  resume: RecordingRequest['resume'],
  signal: AbortSignal,
): Promise<RecordingAnswer> {
  const failures: FailedAnswer[] = []
  for (const link of links) {
    const answer = await askLink(deps, link, resume, signal)
    if (answer.kind !== 'failed') return answer
    failures.push(answer)
  }
  return failures.findLast(({ code }) => code !== 'ExotelUnauthorized') ?? failures[0]!
}

async function askLink(
  { source, alarms }: Needs,
  link: Link,
  resume: RecordingRequest['resume'],
  signal: AbortSignal,
): Promise<RecordingAnswer> {
  try {
    return await readAnswer(await requestRecording(link, { signal, ...(resume && { resume }) }, source), resume?.from ?? 0)
  } catch (error) {
    signal.throwIfAborted()
    const refusal = policyErrorIn(error)
    if (refusal instanceof HostNotAllowed) alarms.raise(HOST_ALARM, refusal.message)
    const code = refusal instanceof HostNotAllowed ? 'RecordingHostNotAllowed' : refusal ? 'RecordingUrlRefused' : 'ExotelUnavailable'
    return { kind: 'failed', code, reason: refusal?.message ?? `Exotel does not answer: ${(error as Error).message}` }
  }
}

async function receive(
  deps: Needs,
  run: Run,
  file: string,
  answer: RecordingAnswer,
  signal: AbortSignal,
): Promise<{ bytes: number; sha256: string }> {
  const { spool, maxBytes, pauses } = deps
  switch (answer.kind) {
    case 'failed':
      throw endTry(answer.code, answer.reason, {
        retryAfterMs: answer.retryAfterMs,
        queue: spool.queue,
        reachedBytes: await spool.bytesOf(file),
      })
    case 'rate limited':
      throw giveBack('ExotelRateLimited', 'Exotel answered 429', { attempt: run.attempt, pauses, ms: answer.retryAfterMs })
    case 'out of range':
      if (await isWhole(spool, file)) return completeFile(spool, file, signal, run.progress)
      await spool.remove(file)
      throw new TransferBroken('The spooled part does not fit the source any more')
    case 'body': {
      try {
        const { totalBytes } = answer
        if ((totalBytes ?? 0) > maxBytes) throw new TooLarge(`The recording has ${totalBytes} bytes, more than the limit of ${maxBytes}`)
        await spool.admit(file, totalBytes)
        return await receiveInto(spool, file, answer, { signal, maxBytes, onProgress: run.progress })
      } finally {
        dropBody(answer.body)
      }
    }
  }
}

/** Names what a transfer throws; everything else is left to {@link runActivity}. */
async function asFailure({ spool }: Needs, file: string, error: unknown): Promise<unknown> {
  const fail = async (code: FailureCode): Promise<Error> =>
    endTry(code, (error as Error).message, { queue: spool.queue, reachedBytes: await spool.bytesOf(file) })
  if (diskTrouble(error) === 'SpoolFull') await spool.remove(file) // what does not fit must not keep others from fitting
  if (error instanceof TooLarge) return fail('RecordingTooLarge')
  if (error instanceof TransferBroken) return fail('DownloadIncomplete')
  return error
}

/** A refused address comes out of the socket's resolver, wrapped or not. */
function policyErrorIn(error: unknown): UrlRefused | HostNotAllowed | undefined {
  return [error, (error as { cause?: unknown }).cause].find((each) => each instanceof UrlRefused || each instanceof HostNotAllowed)
}
