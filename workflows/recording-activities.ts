// The activities of a recording with their queues, time limits and retries. Retries have no limit: the workflow counts the
// tries that count, and everything else (a worker that died, left or waits for S3) has to go on until it works.
import { isCancellation, proxyActivities } from '@temporalio/workflow'
import type { Activities } from '../activities/create.ts'
import type { ValidateInput } from '../activities/validate-recording.ts'
import { DOWNLOADS_QUEUE, EXOTEL_API_QUEUE, RECORDINGS_QUEUE } from './contracts/names.ts'
import type {
  Access,
  CallDetailsAnswer,
  CallRef,
  Conclusion,
  Question,
  RecordingPolicy,
  SourceRef,
  Spooled,
  StoredObject,
  UploadInput,
  Verdict,
  Wait,
} from './contracts/recording.ts'

const retry = { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '10s' } as const
/** Beats come every 5 s: a worker that died is noticed within this. */
const heartbeatTimeout = '15s'

/** 6 GB at 1 s per MB are 1.7 h; the activities end themselves before. */
const downloads = proxyActivities<Activities>({ taskQueue: DOWNLOADS_QUEUE, startToCloseTimeout: '2h', heartbeatTimeout, retry })
const exotelApi = proxyActivities<Activities>({ taskQueue: EXOTEL_API_QUEUE, startToCloseTimeout: '30s', retry })
const rows = proxyActivities<Activities>({ taskQueue: RECORDINGS_QUEUE, startToCloseTimeout: '20s', retry })
const brieflyRows = proxyActivities<Activities>({ taskQueue: RECORDINGS_QUEUE, scheduleToCloseTimeout: '10s', retry })

export function refTo({ callSid, requestId }: CallRef): CallRef {
  return { callSid, ...(requestId && { requestId }) }
}

/** On the worker that holds a part already, where one is named; else on any. */
export function download(policy: RecordingPolicy, source: SourceRef, resumeOn: string | undefined): Promise<Spooled> {
  const worker = resumeOn === undefined ? downloads : onSpool(resumeOn, policy, '2h')
  return worker.downloadRecording.executeWithOptions({ summary: resumeOn === undefined ? 'Exotel → spool' : 'Exotel → spool, resumed' }, [
    source,
  ])
}

export function validate(policy: RecordingPolicy, input: ValidateInput): Promise<Verdict> {
  const { queue, bytes } = input.spooled
  return onSpool(queue, policy, '1h').validateRecording.executeWithOptions({ summary: `${bytes} bytes` }, [input])
}

export function upload(policy: RecordingPolicy, input: UploadInput): Promise<StoredObject> {
  const { queue, bytes } = input.spooled
  return onSpool(queue, policy, '2h').uploadRecording.executeWithOptions({ summary: `spool → S3, ${bytes} bytes` }, [input])
}

/** On the worker whose disk holds the file. Schedule-to-start fires when that worker is lost. */
function onSpool(taskQueue: string, { spoolLostAfterMs }: RecordingPolicy, startToCloseTimeout: '1h' | '2h') {
  return proxyActivities<Activities>({ taskQueue, scheduleToStartTimeout: spoolLostAfterMs, startToCloseTimeout, heartbeatTimeout, retry })
}

export function update(conclusion: Conclusion): Promise<void> {
  const { outcome } = conclusion
  const summary = 'code' in outcome ? `${outcome.state}: ${outcome.code}` : outcome.state
  return rows.updateCall.executeWithOptions({ summary }, [conclusion])
}

export function askExotel(question: Question): Promise<CallDetailsAnswer> {
  return exotelApi.findRecording.executeWithOptions({ summary: 'Call Details' }, [question])
}

export function renewAccess(source: SourceRef): Promise<Access> {
  return exotelApi.renewAccess.executeWithOptions({ summary: 'Call Details: pre-signed link' }, [source])
}

/** Best effort: the run waits whether or not its row says so. */
export async function noteWait(wait: Wait): Promise<void> {
  const { noteWait: note } = brieflyRows
  await note.executeWithOptions({ summary: wait.reason?.code ?? 'waiting' }, [wait]).catch((error: unknown) => {
    if (isCancellation(error)) throw error
  })
}

/** Best effort: where the worker is gone, its own sweep clears the file when it comes back. */
export async function discard(queues: Set<string>, { sourceUrl, ...call }: Conclusion): Promise<void> {
  if (sourceUrl === undefined) return
  for (const taskQueue of queues) {
    const spool = proxyActivities<Activities>({
      taskQueue,
      scheduleToStartTimeout: '30s',
      startToCloseTimeout: '30s',
      retry: { maximumAttempts: 3 },
    })
    await spool.discardRecording({ ...refTo(call), sourceUrl }).catch(() => {})
  }
}
