import { redact } from '../platform/redact.ts'
import { digestFile } from '../recordings/digests.ts'
import type { Broken, SpoolNote } from '../recordings/spool-note.ts'
import type { Incomplete, SourceRef } from '../contracts/recording.ts'
import { currentAttempt } from './attempt.ts'
import type { Dependencies } from './dependencies.ts'

type Needs = Pick<Dependencies, 'spool' | 'store'>

/**
 * Prepares the longest incomplete file on this disk for quarantine after no attempt received the whole recording. This file may be all that
 * is left of the recording. Idempotent.
 */
export function createKeepIncomplete(deps: Needs) {
  return (source: SourceRef): Promise<Incomplete> => {
    const file = deps.spool.fileFor(source.callSid, source.sourceUrl)
    return deps.spool.asWriter(file, currentAttempt(), () => setAside(deps, file))
  }
}

async function setAside({ spool, store }: Needs, newest: string): Promise<Incomplete> {
  const { signal, reportProgress } = currentAttempt()
  const kept = spool.keptFile(newest)
  const file = (await spool.bytesOf(newest)) >= (await spool.bytesOf(kept)) ? newest : kept
  if ((await spool.bytesOf(file)) === 0) return {}
  const complete = await digestFile(spool.path(file), store.sizes, signal, reportProgress)
  const broken = incompleteReason(await spool.note(file))
  await spool.writeNote(file, { complete, broken })
  const { parts: _parts, ...digests } = complete
  return { spooled: { queue: spool.queue, file, ...digests, broken } }
}

/** The note has no reason if the worker was killed, or if all bytes arrived and no later step succeeded. */
function incompleteReason({ complete, broken }: SpoolNote): Broken {
  if (!broken) return { reason: complete ? 'No attempt stored the recording' : 'The transfer was interrupted' }
  return { ...broken, reason: redact(broken.reason) }
}
