import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import type { CallSid } from '../../contracts/call-sid.ts'
import type { Spooled, UploadInput, Verdict } from '../../contracts/recording.ts'
import { digestFile } from '../../recordings/digests.ts'
import type { Workbench } from './activities.ts'
import { mp3 } from './audio.ts'
import { newCallSid } from './servers.ts'

export const SOURCE_URL = 'https://recordings.exotel.com/a/1.mp3'

export interface SpooledRecording {
  input: UploadInput
  path: string
}

/** A downloaded and validated file in the spool, ready for its upload. */
export async function spoolRecording(
  bench: Workbench,
  { bytes = Buffer.concat([mp3(), randomBytes(20)]), callSid = newCallSid() }: { bytes?: Buffer; callSid?: CallSid } = {},
): Promise<SpooledRecording> {
  const file = bench.spool.fileFor(callSid, SOURCE_URL)
  const path = bench.spool.path(file)
  writeFileSync(path, bytes)
  const complete = await digestFile(path, bench.store.sizes, new AbortController().signal, () => {})
  await bench.spool.writeNote(file, { complete })
  const { parts: _parts, ...digests } = complete
  const spooled: Spooled = { queue: bench.spool.queue, file, ...digests }
  const verdict = (await bench.run('validateRecording', { callSid, spooled })) as Exclude<Verdict, { kind: 'refused' | 'incomplete' }>
  return { input: { callSid, sourceUrl: SOURCE_URL, spooled, verdict }, path }
}
