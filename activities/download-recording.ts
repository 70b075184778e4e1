// Step 1: Exotel's recording lies whole in this worker's spool. The story is here; the transfer itself in recordings/transfer.ts.
import { linksOf, type Link } from '../calls/recording-facts.ts'
import { ExotelUnavailable } from '../exotel/api-client.ts'
import { dropBody, readAnswer, type RecordingAnswer } from '../exotel/recording-answer.ts'
import { requestRecording, type RecordingRequest } from '../exotel/recording-request.ts'
import { HostNotAllowed, UrlRefused } from '../exotel/url-policy.ts'
import { completeFile, isWhole, receiveInto, TooLarge, TransferBroken } from '../recordings/transfer.ts'
import type { FailureCode } from '../workflows/contracts/failures.ts'
import type { SourceRef, Spooled } from '../workflows/contracts/recording.ts'
import type { Dependencies } from './dependencies.ts'
import { endTry, giveBack } from './failures.ts'
import { diskTrouble, runActivity, SPOOL_ALARM, type Run } from './run.ts'

type Needs = Pick<Dependencies, 'database' | 'source' | 'spool' | 'alarms' | 'logger' | 'maxBytes' | 'waitScale'>

const HOST_ALARM = 'RecordingHostNotAllowed'
/** Asked of the disk before a transfer whose length nobody announces. */
const UNKNOWN_LENGTH_BYTES = 16 * 1024 ** 2

/**
 * Goes on from the length of the file on disk where the source can; a file that is whole already is done. Fails typed: the
 * details tell the furthest byte reached, so that the workflow sees progress, and where the file lies.
 */
export function createDownloadRecording(deps: Needs) {
  return ({ callSid, sourceUrl }: SourceRef): Promise<Spooled> =>
    runActivity(deps, (run) => {
      const file = deps.spool.fileFor(callSid, sourceUrl)
      return deps.spool.asWriter(file, run.signal, async (signal) => {
        const [note, bytes] = await Promise.all([deps.spool.note(file), deps.spool.bytesOf(file)])
        const { complete } = note
        if (complete && complete.bytes === bytes) return { queue: deps.spool.queue, file, ...complete }
        try {
          const resume = bytes > 0 && note.validator !== undefined ? { from: bytes, validator: note.validator } : undefined
          const answer = await askForRecording(deps, await linksOf(deps.database, callSid, sourceUrl), resume, signal)
          const received = await receive(deps, run, file, answer, signal)
          for (const alarm of [HOST_ALARM, SPOOL_ALARM]) deps.alarms.clear(alarm)
          return { queue: deps.spool.queue, file, ...received }
        } catch (error) {
          signal.throwIfAborted()
          throw await asFailure(deps, file, error)
        }
      })
    })
}

/** The first link that is not refused. */
async function askForRecording(
  { source }: Needs,
  links: Link[],
  resume: RecordingRequest['resume'],
  signal: AbortSignal,
): Promise<RecordingAnswer> {
  let answer: RecordingAnswer | undefined
  for (const link of links) {
    answer = await requestRecording(link, { signal, ...(resume && { resume }) }, source).then(
      (response) => readAnswer(response, resume?.from ?? 0),
      (error: unknown) => {
        throw policyErrorIn(error) ?? new ExotelUnavailable(`Exotel does not answer: ${(error as Error).message}`)
      },
    )
    if (answer.kind !== 'failed' || answer.code !== 'ExotelUnauthorized') break
  }
  return answer!
}

async function receive(
  deps: Needs,
  run: Run,
  file: string,
  answer: RecordingAnswer,
  signal: AbortSignal,
): Promise<{ bytes: number; sha256: string }> {
  const { spool, maxBytes, waitScale } = deps
  switch (answer.kind) {
    case 'failed':
      throw endTry(answer.code, answer.reason, {
        retryAfterMs: answer.retryAfterMs,
        queue: spool.queue,
        reachedBytes: await spool.bytesOf(file),
      })
    case 'rate limited':
      throw giveBack('ExotelRateLimited', 'Exotel answered 429', { attempt: run.attempt, scale: waitScale, ms: answer.retryAfterMs })
    case 'out of range':
      if (await isWhole(spool, file)) return completeFile(spool, file, signal, run.progress)
      await spool.remove(file)
      throw new TransferBroken('The spooled part does not fit the source any more')
    case 'body': {
      try {
        const { totalBytes, from } = answer
        if ((totalBytes ?? 0) > maxBytes) throw new TooLarge(`The recording has ${totalBytes} bytes, more than the limit of ${maxBytes}`)
        await spool.admit(file, totalBytes ?? from + UNKNOWN_LENGTH_BYTES)
        return await receiveInto(spool, file, answer, { signal, maxBytes, onProgress: run.progress })
      } finally {
        dropBody(answer.body)
      }
    }
  }
}

/** Names what the network and the policy throw; everything else is left to {@link runActivity}. */
async function asFailure({ spool, alarms }: Needs, file: string, error: unknown): Promise<unknown> {
  const fail = async (code: FailureCode): Promise<Error> =>
    endTry(code, (error as Error).message, { queue: spool.queue, reachedBytes: await spool.bytesOf(file) })
  if (diskTrouble(error) === 'SpoolFull') await spool.remove(file) // what does not fit must not keep others from fitting
  if (error instanceof UrlRefused) return fail('RecordingUrlRefused')
  if (error instanceof TooLarge) return fail('RecordingTooLarge')
  if (error instanceof TransferBroken) return fail('DownloadIncomplete')
  if (error instanceof ExotelUnavailable) return fail('ExotelUnavailable')
  if (!(error instanceof HostNotAllowed)) return error
  alarms.raise(HOST_ALARM, error.message)
  return fail('RecordingHostNotAllowed')
}

/** A refused address comes out of the socket's resolver, wrapped or not. */
function policyErrorIn(error: unknown): UrlRefused | HostNotAllowed | undefined {
  return [error, (error as { cause?: unknown }).cause].find((each) => each instanceof UrlRefused || each instanceof HostNotAllowed)
}
