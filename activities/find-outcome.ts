import { findConclusion } from '../calls/recording-facts.ts'
import type { FastTransferInput, Outcome } from '../contracts/recording.ts'
import { readObjectKey } from '../recordings/object-key.ts'
import type { Dependencies } from './dependencies.ts'

type Needs = Pick<Dependencies, 'database'> & { store: Pick<Dependencies['store'], 'urlOf'> }

/** Reads the outcome that an earlier transfer with this conclusion wrote. Undefined if it wrote none that has an object. */
export function createFindOutcome({ database, store }: Needs) {
  return async (input: FastTransferInput): Promise<Outcome | undefined> => {
    const found = await findConclusion(database, input)
    const name = found && readObjectKey(found.object.key)
    if (!name) return undefined
    const { state, code, error, object } = found
    const facts = { ...object, url: store.urlOf(object.key), audio: { ...found.audio, extension: name.extension } }
    return state === 'stored' ? { state, ...facts } : { state, code: code!, error: error!, ...facts }
  }
}
