// The checker with files of several versions and calls with several recordings.
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, test } from '@jest/globals'
import type { GroundTruth } from '../../testing/chaos/ground-truth.ts'
import { earlierVersion, readRecording, type Recording } from '../../testing/simulator/versions.ts'
import { sample } from '../support/samples.ts'
import { expectFound, startCleanRun, type CleanRun, type Planted } from './clean-run.ts'

let run: CleanRun
beforeAll(async () => {
  run = await startCleanRun()
})
afterAll(() => run?.backend.stop())

/** The stored recording and the earlier version of its file. */
function versions(): [Recording, Recording] {
  const present = readRecording(sample('short-vbr-id3.mp3'), new Date())
  return [present, earlierVersion(present, { length: 'same', lastModified: 'other' })]
}

function withVersions(...served: Recording[]): GroundTruth {
  const { recordings, status } = run.truth.calls[run.victim.callSid]!
  const changed = { ...recordings[0]!, versions: served.map(({ sha256, bytes }) => ({ sha256, bytes: bytes.length })) }
  return { ...run.truth, calls: { ...run.truth.calls, [run.victim.callSid]: { status, recordings: [changed] } } }
}

/** Replaces the object and the hash in its row, as if the product had stored these bytes. @returns a function that undoes it */
async function replaceStored(bytes: Buffer): Promise<() => Promise<void>> {
  const write = async (content: Buffer): Promise<void> => {
    await run.put(run.victim.key, content)
    const sha256 = createHash('sha256').update(content).digest('hex')
    await run.sql('UPDATE recordings SET sha256 = $2, bytes = $3 WHERE call_sid = $1', run.victim.callSid, sha256, content.length)
  }
  await write(bytes)
  return () => write(run.victim.bytes)
}

/** Sets the error code of the call, as the product does if one of its recordings is missing. */
function setErrorCode(code: string | null): Promise<unknown> {
  return run.sql('UPDATE calls SET recording_error_code = $2, recording_error = $2 WHERE call_sid = $1', run.victim.callSid, code)
}

/** A planted fault, and the expected kinds of findings. */
const FAULTS: [string, string[], () => Promise<Planted>][] = [
  [
    'an object consists of the beginning of one version and the end of another',
    ['wrong'],
    async () => {
      const [present, earlier] = versions()
      const mix = Buffer.concat([earlier.bytes.subarray(0, 8000), present.bytes.subarray(8000)])
      const undo = await replaceStored(mix)
      return { undo, truth: withVersions(present, earlier) }
    },
  ],
  [
    'an object has one version, and its row another',
    ['wrong'],
    async () => {
      const [present, earlier] = versions()
      await run.put(run.victim.key, earlier.bytes)
      return { undo: () => run.put(run.victim.key, run.victim.bytes), truth: withVersions(present, earlier) }
    },
  ],
  [
    'an object is the earlier version of the file',
    [],
    async () => {
      const [present, earlier] = versions()
      const undo = await replaceStored(earlier.bytes)
      return { undo, truth: withVersions(present, earlier) }
    },
  ],
  [
    'the link of a second recording expired before it was fetched',
    ['lost'],
    async () => {
      const { recordings, status } = run.truth.calls[run.victim.callSid]!
      const second = { ...recordings[0]!, link: recordings[0]!.link.replace('.mp3', '-2.mp3') }
      await run.sql(
        `INSERT INTO recordings (call_sid, source_url, state, error, error_code) VALUES ($1, $2, 'failed', 'refused', 'ExotelUnauthorized')`,
        run.victim.callSid,
        second.link,
      )
      await setErrorCode('ExotelUnauthorized')
      return {
        undo: async () => {
          await run.sql('DELETE FROM recordings WHERE source_url = $1', second.link)
          await setErrorCode(null)
        },
        truth: { ...run.truth, calls: { ...run.truth.calls, [run.victim.callSid]: { status, recordings: [...recordings, second] } } },
      }
    },
  ],
  [
    'a second recording that was acknowledged has no row',
    ['lost'],
    async () => {
      const { recordings, status } = run.truth.calls[run.victim.callSid]!
      const second = { ...recordings[0]!, link: recordings[0]!.link.replace('.mp3', '-2.mp3') }
      return {
        undo: () => {},
        truth: { ...run.truth, calls: { ...run.truth.calls, [run.victim.callSid]: { status, recordings: [...recordings, second] } } },
      }
    },
  ],
]

test.each(FAULTS)('When %s, then the checker finds %j', (_what, kinds, plant) => expectFound(run, kinds, plant))
