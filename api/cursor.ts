// The position in a list, as clients send it back to get the next page. It is signed together with the filters, so that it fits no other
// list and cannot be changed.
import { hmac, type SigningKeys } from '../accounts/signing-keys.ts'
import type { CallPosition } from '../calls/list-calls.ts'
import { constantTimeEqual } from '../platform/constant-time-equal.ts'
import { problem } from '../platform/http-problems.ts'

/** @param list the list and its filters */
export async function writeCursor(keys: SigningKeys, list: string, { time, callSid }: CallPosition): Promise<string> {
  const [{ kid, cursorKey }] = await keys.all()
  const position = Buffer.from(`${time.getTime()} ${callSid}`).toString('base64url')
  return `${kid}.${position}.${hmac(cursorKey, signed(list, position))}`
}

/** @throws {Problem} `invalid_fields` */
export async function readCursor(keys: SigningKeys, list: string, cursor: string): Promise<CallPosition> {
  const [kid = '', position = '', signature = ''] = cursor.split('.', 3)
  const key = await keys.find(kid)
  const isOurs = key !== undefined && cursor.length === kid.length + position.length + signature.length + 2
  if (!isOurs || !constantTimeEqual(signature, hmac(key.cursorKey, signed(list, position)))) {
    const message = 'is not a cursor of this list with these filters: start at the first page'
    throw problem('invalid_fields', 'The cursor cannot be used', {}, [{ field: 'cursor', message }])
  }
  const [time = '', callSid = ''] = Buffer.from(position, 'base64url').toString().split(' ', 2)
  return { time: new Date(Number(time)), callSid }
}

function signed(list: string, position: string): string {
  return `${position}\n${list}`
}
