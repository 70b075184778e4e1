// The activities of a recording with their task queues, timeouts and retry policies. The number of Temporal's retries has no limit: the
// workflow counts failures that Exotel causes. Temporal retries an activity whose worker died, shuts down or waits for S3.
import {
  ActivityCancellationType,
  isCancellation,
  proxyActivities,
  proxyLocalActivities,
  type ActivityInterfaceFor,
} from '@temporalio/workflow'
import type { Activities } from '../activities/create.ts'
import type { ValidateInput } from '../activities/validate-recording.ts'
import { DOWNLOADS_QUEUE, EXOTEL_API_QUEUE, RECORDINGS_QUEUE, spoolQueues } from '../contracts/names.ts'
import {
  failureOf,
  refTo,
  type CallDetailsAnswer,
  type CallDetailsRequest,
  type Conclusion,
  type EndedCall,
  type FastTransferInput,
  type FastTransferResult,
  type Incomplete,
  type LinkState,
  type RecordingPolicy,
  type RenewalResult,
  type RetryWait,
  type SourceRef,
  type Spooled,
  type StoredObject,
  type UploadInput,
  type Verdict,
} from '../contracts/recording.ts'
import { onSpool, onSpoolControl } from './spool-tasks.ts'

const retry = { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '10s' } as const
/** A heartbeat is sent every 3 s. An activity may stall for 10 s, and a worker that died is noticed after 15 s. */
const heartbeatTimeout = '15s'

/** 6 GB at 1 s per MB take 1.7 h. The activities have their own, shorter time limits. */
const downloads = proxyActivities<Activities>({ taskQueue: DOWNLOADS_QUEUE, startToCloseTimeout: '2h', heartbeatTimeout, retry })
/** One request of at most 15 s, and two SQL statements. A cancelled activity may still return a link, which must not be lost. */
const exotelApi = proxyActivities<Activities>({
  taskQueue: EXOTEL_API_QUEUE,
  startToCloseTimeout: '45s',
  heartbeatTimeout,
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  retry,
})
const rows = proxyActivities<Activities>({ taskQueue: RECORDINGS_QUEUE, startToCloseTimeout: '20s', retry })
const rowsBestEffort = proxyActivities<Activities>({ taskQueue: RECORDINGS_QUEUE, scheduleToCloseTimeout: '10s', retry })

/** The activity has a deadline of its own, below this timeout. A failure is not repeated here: the durable path continues. */
const fastPath = proxyLocalActivities<Activities>({ startToCloseTimeout: '6s', retry: { maximumAttempts: 1 } })

export function fastTransfer(input: FastTransferInput): Promise<FastTransferResult> {
  return fastPath.fastTransfer(input)
}

/** @param resumeOn the spool that has a part of the recording; absent: any worker downloads it */
export function download(policy: RecordingPolicy, source: SourceRef, resumeOn: string | undefined): Promise<Spooled> {
  if (resumeOn === undefined) return downloads.downloadRecording.executeWithOptions({ summary: 'Exotel → spool' }, [source])
  return onSpool(resumeOn, policy, source, () =>
    transfers(spoolQueues(resumeOn).downloads, policy).downloadRecording.executeWithOptions({ summary: 'Exotel → spool, resumed' }, [
      source,
    ]),
  )
}

export function validate(policy: RecordingPolicy, input: ValidateInput): Promise<Verdict> {
  const { queue, bytes } = input.spooled
  const { validateRecording } = transfers(spoolQueues(queue).transfers, policy)
  return onSpool(queue, policy, input, () => validateRecording.executeWithOptions({ summary: `${bytes} bytes` }, [input]))
}

export function upload(policy: RecordingPolicy, input: UploadInput): Promise<StoredObject> {
  const { queue, bytes } = input.spooled
  const { uploadRecording } = transfers(spoolQueues(queue).transfers, policy)
  return onSpool(queue, policy, input, () => uploadRecording.executeWithOptions({ summary: `spool → S3, ${bytes} bytes` }, [input]))
}

/** @param queue of the worker whose disk may have a part of the recording */
export function keepIncomplete(policy: RecordingPolicy, source: SourceRef, queue: string): Promise<Incomplete> {
  const { keepIncomplete: keep } = transfers(spoolQueues(queue).transfers, policy)
  return onSpool(queue, policy, source, () => keep.executeWithOptions({ summary: 'incomplete file' }, [source]))
}

function transfers(taskQueue: string, { spoolLostAfterMs }: RecordingPolicy): ActivityInterfaceFor<Activities> {
  return proxyActivities<Activities>({
    taskQueue,
    scheduleToStartTimeout: spoolLostAfterMs,
    startToCloseTimeout: '2h',
    heartbeatTimeout,
    retry,
  })
}

export function update(conclusion: Conclusion): Promise<void> {
  const { outcome } = conclusion
  const failure = failureOf(outcome)
  const summary = failure ? `${outcome.state}: ${failure.code}` : outcome.state
  return rows.updateCall.executeWithOptions({ summary }, [conclusion])
}

export function requestCallDetails(request: CallDetailsRequest): Promise<CallDetailsAnswer> {
  return exotelApi.findRecording.executeWithOptions({ summary: 'Call Details' }, [request])
}

export function renewLink(source: SourceRef): Promise<RenewalResult> {
  return exotelApi.renewLink.executeWithOptions({ summary: 'Call Details: pre-signed link' }, [source])
}

/** Best effort: the run waits even if the row cannot be updated. */
export async function recordRetryWait(wait: RetryWait): Promise<void> {
  const { recordRetryWait: record } = rowsBestEffort
  await record.executeWithOptions({ summary: wait.reason?.code ?? 'waiting' }, [wait]).catch((error: unknown) => {
    if (isCancellation(error)) throw error
  })
}

/** Deletes the recording's files on all spools. Best effort: a worker that does not respond deletes them itself when it runs again. */
export async function discard({ policy, ...call }: EndedCall, { sourceUrl, spools }: LinkState): Promise<void> {
  const source = { ...refTo(call), sourceUrl }
  await Promise.all(
    spools.map((queue) =>
      onSpoolControl(queue, policy)
        .discardRecording(source)
        .catch(() => {}),
    ),
  )
}
