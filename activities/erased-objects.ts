import type { CallSid } from '../contracts/call-sid.ts'
import { markRecordingsErased } from '../calls/object-owners.ts'
import type { Dependencies } from './dependencies.ts'

/**
 * Deletes an object of an erased call. The rows are updated first: if the object cannot be deleted then, the next object check finds it.
 * But nothing would find a row that still names a deleted object.
 */
export async function deleteErasedObject(
  { database, inventory }: Pick<Dependencies, 'database' | 'inventory'>,
  { callSid, key }: { callSid: CallSid; key: string },
  signal: AbortSignal,
): Promise<void> {
  await markRecordingsErased(database, callSid)
  await inventory.delete(key, signal)
}
