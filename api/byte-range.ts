// The Range header of a request [RFC 9110, 14].
import type { ByteRange } from '../recordings/recording-streams.ts'

const ONE_RANGE = /^bytes=[ \t]*(\d*)-(\d*)[ \t]*$/i

/**
 * @param bytes the size of the whole, at least 1
 * @returns `whole` if there is no Range header, or one that a server may ignore: several ranges, another unit, or no valid range.
 *   `unsatisfiable` if the range begins behind the end
 */
export function readRange(header: string | undefined, bytes: number): ByteRange | 'whole' | 'unsatisfiable' {
  const [isOne, first = '', last = ''] = ONE_RANGE.exec(header ?? '') ?? []
  if (isOne === undefined || (first === '' && last === '')) return 'whole'
  // A number that is too large for exact arithmetic is behind any end.
  if (first === '') return Number(last) === 0 ? 'unsatisfiable' : { first: Math.max(0, bytes - Number(last)), last: bytes - 1 }
  if (last !== '' && BigInt(last) < BigInt(first)) return 'whole'
  if (Number(first) >= bytes) return 'unsatisfiable'
  return { first: Number(first), last: last === '' ? bytes - 1 : Math.min(bytes - 1, Number(last)) }
}
