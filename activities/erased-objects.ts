import type { CallSid } from '../contracts/call-sid.ts'
import { markRecordingsErased } from '../calls/object-owners.ts'
import { deletePeaksOfErasedCall } from '../calls/recording-peaks.ts'
import type { Dependencies } from './dependencies.ts'

/**
 * Deletes an object of an erased call. The rows are updated first: a crash after that leaves an object, which the next check deletes. In
 * the other order it would leave a row that names a deleted object, and the check skips rows of erased calls.
 */
export async function deleteErasedObject(
  { database, bucketObjects }: Pick<Dependencies, 'database' | 'bucketObjects'>,
  { callSid, key }: { callSid: CallSid; key: string },
  signal: AbortSignal,
): Promise<void> {
  await deletePeaksOfErasedCall(database, callSid)
  await markRecordingsErased(database, callSid)
  await bucketObjects.delete(key, signal)
}
