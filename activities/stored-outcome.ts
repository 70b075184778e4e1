import { storedRecording } from '../calls/recording-facts.ts'
import type { Outcome, SourceRef } from '../contracts/recording.ts'
import { readObjectKey } from '../recordings/object-key.ts'
import type { Dependencies } from './dependencies.ts'

type Needs = Pick<Dependencies, 'database'> & { store: Pick<Dependencies['store'], 'urlOf'> }

/** Reads the outcome of a recording from its row. Undefined if the recording is not stored. */
export function createStoredOutcome({ database, store }: Needs) {
  return async ({ callSid, sourceUrl }: SourceRef): Promise<Outcome | undefined> => {
    const stored = await storedRecording(database, callSid, sourceUrl)
    const name = stored && readObjectKey(stored.key)
    if (!name) return undefined
    const { audio, ...object } = stored
    return { state: 'stored', ...object, url: store.urlOf(object.key), audio: { ...audio, extension: name.extension } }
  }
}
