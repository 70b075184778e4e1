import type { CallSid } from '../contracts/call-sid.ts'
import { callDurationSeconds } from '../calls/recording-facts.ts'
import { UNKNOWN_FORMAT, type Finding } from '../recordings/audio/finding.ts'
import { inspectAudio } from '../recordings/audio/inspect.ts'
import type { Attempt } from '../recordings/file-turns.ts'
import { digestFile, type Digests } from '../recordings/digests.ts'
import { isBeginningOf } from '../recordings/longer-file.ts'
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

/** The duration of a call may include ringing and transfers, and that of its recording may not. */
const DURATION_TOLERANCE_SECONDS = 10
const DURATION_TOLERANCE_SHARE = 0.2

/**
 * Step 2: checks that the spooled file is audio. Deletes a refused file. Keeps an incomplete file while the recording is downloaded again.
 * A good file is not hashed again: the store refuses an upload whose bytes do not have the hash of the download.
 * @throws SpoolFileLost if the file is missing, or if it is not good and does not have the downloaded bytes
 */
export function createValidateRecording(deps: Needs) {
  return async (input: ValidateInput): Promise<Verdict> => {
    const { callSid, spooled } = input
    const finding = await inspect(deps, spooled)
    if (finding.kind !== 'good') await assertUnchanged(deps, spooled)
    if (finding.kind === 'none') {
      await changeSpooled((attempt) => deps.spool.removeRefused(spooled.file, spooled.sha256, attempt))
      return { kind: 'refused', reason: finding.reason }
    }
    const reason = await incompleteReason(deps, spooled, finding)
    if (reason !== undefined) {
      await changeSpooled((attempt) => deps.spool.markIncomplete(spooled.file, spooled.sha256, attempt, reason))
      return { kind: 'incomplete', reason }
    }
    const etag = await etagOf(deps, spooled)
    if (finding.kind !== 'good') return { kind: 'damaged', etag, audio: finding.audio, reason: finding.reason }
    const remarks = [finding.remark, durationRemark(await callDurationSeconds(deps.database, callSid), finding.audio.durationSeconds)]
    const remark = remarks.filter(Boolean).join('; ')
    return { kind: 'good', etag, audio: finding.audio, ...(remark && { remark }) }
  }
}

async function inspect({ spool }: Needs, spooled: Spooled): Promise<Finding> {
  if ((await spool.bytesOf(spooled.file)) !== spooled.bytes)
    throw failAttempt(SPOOL_FILE_LOST, 'The spooled file is missing or has another size')
  return findingFor(spool.path(spooled.file), spooled).catch(missingAsLost)
}

async function etagOf(deps: Needs, spooled: Spooled): Promise<string> {
  return spooled.etag ?? (await digestSpooled(deps, spooled)).etag
}

/** If the disk has changed the bytes, the verdict is not about the recording. */
async function assertUnchanged(deps: Needs, spooled: Spooled): Promise<void> {
  if ((await digestSpooled(deps, spooled)).sha256 === spooled.sha256) return
  await changeSpooled((attempt) => deps.spool.markIncomplete(spooled.file, spooled.sha256, attempt, 'The bytes changed on the disk'))
  throw failAttempt(SPOOL_FILE_LOST, 'The spooled file does not have the bytes that were downloaded')
}

function digestSpooled({ spool, store }: Needs, { file }: Spooled): Promise<Digests> {
  const { signal, reportProgress } = currentAttempt()
  return digestFile(spool.path(file), store.sizes, signal, reportProgress).catch(missingAsLost)
}

function missingAsLost(error: unknown): never {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  throw failAttempt(SPOOL_FILE_LOST, 'Another attempt deleted the spooled file')
}

/**
 * Why the recording must be downloaded again. If an earlier attempt received more bytes, this file must not replace its file, unless it is
 * good and another version. If no attempt receives all of it, the longest file is quarantined.
 */
async function incompleteReason(deps: Needs, spooled: Spooled, finding: Exclude<Finding, { kind: 'none' }>): Promise<string | undefined> {
  if (finding.kind === 'incomplete') return finding.reason
  const { file, bytes, broken } = spooled
  const { spool } = deps
  const kept = spool.keptFile(file)
  const keptBytes = await spool.bytesOf(kept)
  if (broken !== undefined || keptBytes <= bytes) return undefined
  if (finding.kind === 'damaged') return finding.reason
  if (!(await isBeginningOf(spool.path(kept), spool.path(file), bytes))) return undefined
  return `The file is the beginning of an earlier download, which has ${keptBytes} instead of ${bytes} bytes`
}

/** If the bytes are known to be incomplete, the file is refused only if it is certainly not audio. */
async function findingFor(path: string, { broken }: Spooled): Promise<Finding> {
  if (broken?.isEncoded) return { kind: 'damaged', audio: UNKNOWN_FORMAT, reason: broken.reason }
  const finding = await inspectAudio(path)
  return broken && finding.kind !== 'none' ? { kind: 'damaged', audio: finding.audio, reason: broken.reason } : finding
}

/** An attempt that Temporal has timed out may reach this after the next download. Then it changes nothing. */
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
