import { createHash, timingSafeEqual } from 'node:crypto'

/** Compares secrets in constant time. The time does not even depend on their lengths. */
export function constantTimeEqual(a: string, b: string): boolean {
  const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(sha256(a), sha256(b))
}
