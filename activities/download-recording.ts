// Step 1: downloads a recording from Exotel into this worker's spool. recordings/transfer.ts contains the transfer of the bytes.
import { Context } from '@temporalio/activity'
import { linksOf, type Link } from '../calls/recording-facts.ts'
import { readAnswer, type FailedAnswer, type RecordingAnswer } from '../exotel/recording-answer.ts'
import { requestRecording } from '../exotel/recording-request.ts'
import { DestinationRefused, HostNotAllowed, UrlRefused } from '../exotel/url-policy.ts'
import { startDeadline } from '../platform/deadline.ts'
import { readPart, resumableBytesOf, type Part } from '../recordings/growing-file.ts'
import type { Spool } from '../recordings/spool.ts'
import type { WholeFile } from '../recordings/spool-note.ts'
import { completePart, receiveInto, TooLarge, TransferBroken } from '../recordings/transfer.ts'
import { RATE_LIMITED, type FailureCode } from '../contracts/failures.ts'
import type { DownloadInput, SourceRef, Spooled } from '../contracts/recording.ts'
import { currentAttempt } from './attempt.ts'
import type { Dependencies } from './dependencies.ts'
import { diskFailureCode } from './disk-failures.ts'
import { failAttempt } from './failures.ts'
import { createDestinationAlarm, createRecordingHostAlarm } from './recording-host-alarm.ts'
import { SPOOL_ALARM } from './interceptor.ts'
import type { ExpiringAlarm } from './expiring-alarm.ts'
import { createStalledDownloads } from './stalled-downloads.ts'

type Needs = Pick<
  Dependencies,
  'database' | 'source' | 'downloads' | 'spool' | 'store' | 'alarms' | 'logger' | 'maxBytes' | 'recovery' | 'waitScale'
>

/** One attempt to download one recording. */
interface Download {
  deps: Needs
  recording: SourceRef
  hostAlarm: ExpiringAlarm
  destinationAlarm: ExpiringAlarm
  /** Only on the fast path. A longer recording is downloaded by the durable path. */
  fastPathMaxBytes: number | undefined
  /** The attempt's signal. It is also aborted when a later attempt on the same file starts. */
  signal: AbortSignal
  onProgress: (bytes: number) => void
}

/**
 * Continues the part on disk if the source still has the same version of the recording. If the file is already complete, no request is
 * sent. The details of a failure contain the number of bytes on disk, so that the workflow sees progress, and the task queue of the spool.
 */
export function createDownloadRecording(deps: Needs) {
  const hostAlarm = createRecordingHostAlarm(deps)
  const destinationAlarm = createDestinationAlarm(deps)
  const stalledDownloads = createStalledDownloads(deps)
  return async ({ maxBytes: fastPathMaxBytes, ...recording }: DownloadInput): Promise<Spooled> => {
    const attempt = currentAttempt()
    const { spool } = deps
    const file = spool.fileFor(recording.callSid, recording.sourceUrl)
    const download = (reportToSlot: Download['onProgress']): Promise<WholeFile> => {
      const onProgress = (bytes: number): void => (attempt.reportProgress(bytes), reportToSlot(bytes))
      return spool.asWriter(file, attempt, (signal) =>
        downloadInto(file, { deps, recording, hostAlarm, destinationAlarm, fastPathMaxBytes, signal, onProgress }),
      )
    }
    const whole = await stalledDownloads.hold(Context.current().info.taskQueue, download)
    const { parts: _parts, ...digests } = whole // the note keeps them: the result of an activity is small
    return { queue: spool.queue, file, ...digests }
  }
}

async function downloadInto(file: string, download: Download): Promise<WholeFile> {
  const { spool, alarms } = download.deps
  const { complete, broken } = await spool.note(file)
  if (complete && !broken && complete.bytes === (await spool.bytesOf(file))) return complete
  try {
    const received = await fetchInto(file, download)
    alarms.clear(SPOOL_ALARM)
    return received
  } catch (error) {
    download.signal.throwIfAborted()
    throw await asFailure(download.deps, file, error)
  }
}

async function fetchInto(file: string, download: Download): Promise<WholeFile> {
  const { deps, recording, signal } = download
  const links = await linksOf(deps.database, recording.callSid, recording.sourceUrl)
  if (!links) throw failAttempt('Cancelled', 'The call was erased')
  const part = await readPart(deps.spool, file, deps.store.sizes, signal)
  if (part && part.from === part.totalBytes) return completePart(deps.spool, file, part)
  return receive(file, download, links, part)
}

/** If a part cannot be continued, the same attempt requests the whole recording, because this is not a failure of Exotel. */
async function receive(file: string, download: Download, links: Link[], part: Part | undefined): Promise<WholeFile> {
  const { signal, fastPathMaxBytes, onProgress } = download
  const { spool, downloads, store, maxBytes } = download.deps
  const control = {
    signal,
    maxBytes: Math.min(fastPathMaxBytes ?? Infinity, maxBytes),
    sizes: store.sizes,
    pace: downloads.pace,
    onProgress,
  }
  const answer = await requestFromLinks(download, links, part)
  switch (answer.kind) {
    case 'failed':
      throw failAttempt(answer.code, answer.reason, { ...(await partLeft(spool, file)), retryAfterMs: answer.retryAfterMs })
    case 'rate limited':
      throw failAttempt(RATE_LIMITED, 'Exotel answered 429', { ...(await partLeft(spool, file)), retryAfterMs: answer.retryAfterMs })
    case 'part is whole':
      return completePart(spool, file, part!)
    case 'part unusable':
      await spool.setAside(file)
      return receive(file, download, links, undefined)
    case 'body':
      if ((answer.totalBytes ?? 0) > (fastPathMaxBytes ?? Infinity)) {
        answer.body.destroy()
        throw failAttempt('RecordingTooLarge', `The recording has ${answer.totalBytes} bytes`)
      }
      return receiveInto(spool, file, answer, part, control).finally(() => answer.body.destroy())
  }
}

/**
 * Requests the links in turn and returns the first answer that is not a failure. If all fail, the answer to the plain link decides, which
 * is the last one: a pre-signed link fails when it has expired, and that says nothing about the recording.
 */
async function requestFromLinks(download: Download, links: Link[], part: Part | undefined): Promise<RecordingAnswer> {
  const failures: FailedAnswer[] = []
  for (const link of links) {
    const answer = await requestLink(download, link, part)
    if (answer.kind !== 'failed') return answer
    failures.push(answer)
  }
  return failures.at(-1)!
}

async function requestLink(download: Download, link: Link, part: Part | undefined): Promise<RecordingAnswer> {
  const { deps, destinationAlarm, signal } = download
  const deadline = startDeadline(deps.downloads.startMs)
  try {
    const request = { signal: AbortSignal.any([signal, deadline.signal]), part }
    const answer = await readAnswer(await requestRecording(link, request, deps.source), part)
    if (answer.kind !== 'failed') destinationAlarm.clear(new URL(link.url).hostname)
    return answer
  } catch (error) {
    signal.throwIfAborted()
    return asFailedAnswer(download, link, error as Error)
  } finally {
    deadline.end()
  }
}

/** Only the link itself can be refused for good. A redirect and the addresses of a host may be different next time. */
function asFailedAnswer({ hostAlarm, destinationAlarm }: Download, link: Link, error: Error): FailedAnswer {
  const refusal = policyErrorIn(error)
  if (refusal instanceof UrlRefused) return { kind: 'failed', code: 'RecordingUrlRefused', reason: refusal.message }
  if (refusal instanceof HostNotAllowed) {
    hostAlarm.raise(new URL(link.url).hostname)
    return { kind: 'failed', code: 'RecordingHostNotAllowed', reason: refusal.message }
  }
  if (refusal) destinationAlarm.raise(new URL(link.url).hostname)
  return { kind: 'failed', code: 'ExotelUnavailable', reason: refusal?.message ?? `Exotel does not answer: ${error.message}` }
}

/** Converts errors of a transfer to typed failures. The interceptor converts all others. */
async function asFailure({ spool }: Needs, file: string, error: unknown): Promise<unknown> {
  const fail = async (code: FailureCode): Promise<Error> => failAttempt(code, (error as Error).message, await partLeft(spool, file))
  if (diskFailureCode(error) === 'SpoolFull') await spool.remove(file) // so that other downloads have space
  if (error instanceof TooLarge) return fail('RecordingTooLarge')
  if (error instanceof TransferBroken) return fail('DownloadIncomplete')
  return error
}

/** Describes the part that a failed attempt leaves on this worker's disk. The workflow uses it to decide where the next attempt runs. */
async function partLeft(spool: Spool, file: string): Promise<{ queue?: string; reachedBytes: number; resumableBytes: number }> {
  const queue = (await spool.holds(file)) && { queue: spool.queue }
  return { ...queue, reachedBytes: await spool.bytesOf(file), resumableBytes: await resumableBytesOf(spool, file) }
}

/** An error about a refused address comes from the socket's resolver. It may be wrapped as the `cause` of another error. */
function policyErrorIn(error: Error): UrlRefused | HostNotAllowed | DestinationRefused | undefined {
  const isRefusal = (each: unknown): each is UrlRefused | HostNotAllowed | DestinationRefused =>
    each instanceof UrlRefused || each instanceof HostNotAllowed || each instanceof DestinationRefused
  return [error, error.cause].find(isRefusal)
}
