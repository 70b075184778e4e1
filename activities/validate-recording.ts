import type { CallSid } from '../contracts/call-sid.ts'
import { callDurationSeconds } from '../calls/recording-facts.ts'
import { UNKNOWN_FORMAT, type Finding } from '../recordings/audio/finding.ts'
import { inspectAudio } from '../recordings/audio/inspect.ts'
import type { Attempt } from '../recordings/file-turns.ts'
import { digestFile, type Digests } from '../recordings/digests.ts'
import { SPOOL_FILE_LOST } from '../contracts/failures.ts'
import type { Spooled, Verdict } from '../contracts/recording.ts'
import { currentAttempt } from './attempt.ts'
import type { Dependencies } from './dependencies.ts'
import { failAttempt } from './failures.ts'

type Needs = Pick<Dependencies, 'database' | 'spool' | 'store'>

export interface ValidateInput {
  callSid: CallSid
  sourceUrl?: string
  spooled: Spooled
}

/** Ringing and transfers count for the one and not for the other. */
const DURATION_TOLERANCE_SECONDS = 10
const DURATION_TOLERANCE_SHARE = 0.2

/**
 * Step 2: is the spooled file still what was downloaded, and is it audio? A refused one is deleted here. An incomplete one is kept while
 * it is downloaded again.
 * @throws SpoolFileLost where the file is gone or changed
 */
export function createValidateRecording(deps: Needs) {
  return async (input: ValidateInput): Promise<Verdict> => {
    const { callSid, spooled } = input
    const { digests, finding } = await inspect(deps, spooled)
    if (finding.kind === 'none') {
      await changeSpooled((attempt) => deps.spool.dropWhole(spooled.file, spooled.sha256, attempt))
      return { kind: 'refused', reason: finding.reason }
    }
    if (finding.kind === 'incomplete' || (finding.kind === 'damaged' && (await isLessThanKept(deps, spooled)))) {
      const { reason } = finding
      await changeSpooled((attempt) => deps.spool.rejectWhole(spooled.file, spooled.sha256, attempt, reason))
      return { kind: 'incomplete', reason }
    }
    const { etag } = digests
    if (finding.kind !== 'good') return { kind: 'damaged', etag, audio: finding.audio, reason: finding.reason }
    const remarks = [finding.remark, durationRemark(await callDurationSeconds(deps.database, callSid), finding.audio.durationSeconds)]
    const remark = remarks.filter(Boolean).join('; ')
    return { kind: 'good', etag, audio: finding.audio, ...(remark && { remark }) }
  }
}

async function inspect(deps: Needs, spooled: Spooled): Promise<{ digests: Digests; finding: Finding }> {
  const { signal, reportProgress } = currentAttempt()
  const path = deps.spool.path(spooled.file)
  if ((await deps.spool.bytesOf(spooled.file)) !== spooled.bytes)
    throw failAttempt(SPOOL_FILE_LOST, 'The spooled file is gone or has another size')
  try {
    const digests = await digestFile(path, deps.store.sizes, signal, reportProgress)
    if (digests.sha256 === spooled.sha256) return { digests, finding: await judge(path, spooled) }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    throw failAttempt(SPOOL_FILE_LOST, 'Another attempt has removed the spooled file')
  }
  await changeSpooled((attempt) => deps.spool.rejectWhole(spooled.file, spooled.sha256, attempt, 'The bytes changed on the disk'))
  throw failAttempt(SPOOL_FILE_LOST, 'The spooled file has other bytes than were downloaded')
}

/** An earlier attempt brought more, which must not be given up for this: there is another attempt, and then the longest file counts. */
async function isLessThanKept({ spool }: Needs, { file, bytes, broken }: Spooled): Promise<boolean> {
  return broken === undefined && (await spool.bytesOf(spool.keptFile(file))) > bytes
}

/** Of bytes that are known not to be the whole recording, only what is certainly no audio is refused. */
async function judge(path: string, { broken }: Spooled): Promise<Finding> {
  if (broken?.isEncoded) return { kind: 'damaged', audio: UNKNOWN_FORMAT, reason: broken.reason }
  const finding = await inspectAudio(path)
  return broken && finding.kind !== 'none' ? { kind: 'damaged', audio: finding.audio, reason: broken.reason } : finding
}

/** An attempt that Temporal has given up may get here after the next download: it changes nothing of that. */
async function changeSpooled(change: (attempt: Attempt) => Promise<void>): Promise<void> {
  const attempt = currentAttempt()
  attempt.signal.throwIfAborted()
  await change(attempt)
}

function durationRemark(call: number | undefined, recording: number | undefined): string | undefined {
  if (call === undefined || recording === undefined) return undefined
  const tolerance = Math.max(DURATION_TOLERANCE_SECONDS, call * DURATION_TOLERANCE_SHARE)
  return Math.abs(call - recording) > tolerance ? `The recording lasts ${Math.round(recording)} s, the call ${call} s` : undefined
}
