import { callDurationSeconds } from '../calls/recording-facts.ts'
import { inspectAudio } from '../recordings/audio/inspect.ts'
import { digestFile } from '../recordings/digests.ts'
import { SPOOL_FILE_LOST } from '../workflows/contracts/failures.ts'
import type { Spooled, Verdict } from '../workflows/contracts/recording.ts'
import type { Dependencies } from './dependencies.ts'
import { endTry } from './failures.ts'
import { runActivity } from './run.ts'

export interface ValidateInput {
  callSid: string
  sourceUrl?: string
  spooled: Spooled
}

/** Ringing and transfers count for the one and not for the other. */
const DURATION_TOLERANCE_SECONDS = 10
const DURATION_TOLERANCE_SHARE = 0.2

/**
 * Step 2: is the spooled file still what was downloaded, and is it audio? A refused one is deleted here.
 * @throws SpoolFileLost where the file is gone or changed
 */
export function createValidateRecording(deps: Pick<Dependencies, 'database' | 'spool' | 'logger' | 'alarms' | 'pauses'>) {
  return (input: ValidateInput): Promise<Verdict> =>
    runActivity(deps, input, async ({ signal, progress }) => {
      const { callSid, spooled } = input
      const path = deps.spool.path(spooled.file)
      if ((await deps.spool.bytesOf(spooled.file)) !== spooled.bytes)
        throw endTry(SPOOL_FILE_LOST, 'The spooled file is gone or has another size')
      const digests = await digestFile(path, signal, progress)
      if (digests.sha256 !== spooled.sha256) {
        await deps.spool.remove(spooled.file)
        throw endTry(SPOOL_FILE_LOST, 'The spooled file has other bytes than were downloaded')
      }
      const finding = await inspectAudio(path)
      if (finding.kind === 'none') {
        await deps.spool.remove(spooled.file)
        return { verdict: 'refused', reason: finding.reason }
      }
      const { etag } = digests
      if (finding.kind === 'damaged') return { verdict: 'damaged', etag, audio: finding.audio, reason: finding.reason }
      const remarks = [finding.remark, durationRemark(await callDurationSeconds(deps.database, callSid), finding.audio.durationSeconds)]
      const remark = remarks.filter(Boolean).join('; ')
      return { verdict: 'good', etag, audio: finding.audio, ...(remark && { remark }) }
    })
}

function durationRemark(call: number | undefined, recording: number | undefined): string | undefined {
  if (call === undefined || recording === undefined) return undefined
  const tolerance = Math.max(DURATION_TOLERANCE_SECONDS, call * DURATION_TOLERANCE_SHARE)
  return Math.abs(call - recording) > tolerance ? `The recording lasts ${Math.round(recording)} s, the call ${call} s` : undefined
}
