import { expect, test } from '@jest/globals'
import { readRange } from '../../api/byte-range.ts'

const HUGE = '99999999999999999999'

test.each([
  [undefined, 'whole'],
  ['bytes=0-1', { first: 0, last: 1 }],
  ['bytes=0-', { first: 0, last: 999 }],
  ['bytes=999-999', { first: 999, last: 999 }],
  ['bytes=500-5000', { first: 500, last: 999 }],
  [`bytes=0-${HUGE}`, { first: 0, last: 999 }],
  ['bytes=-500', { first: 500, last: 999 }],
  ['bytes=-5000', { first: 0, last: 999 }],
  [`bytes=-${HUGE}`, { first: 0, last: 999 }],
  ['BYTES= 1-2 ', { first: 1, last: 2 }],
  ['bytes=-0', 'unsatisfiable'],
  ['bytes=1000-', 'unsatisfiable'],
  ['bytes=1000-1001', 'unsatisfiable'],
  [`bytes=${HUGE}-`, 'unsatisfiable'],
  // A server may ignore these [RFC 9110, 14.2].
  ['bytes=5-4', 'whole'],
  [`bytes=${HUGE}1-${HUGE}0`, 'whole'],
  ['bytes=0-1,5-6', 'whole'],
  ['bytes=', 'whole'],
  ['bytes=-', 'whole'],
  ['bytes=a-b', 'whole'],
  ['bytes=1', 'whole'],
  ['seconds=1-2', 'whole'],
  ['abc', 'whole'],
])('When 1000 bytes are requested with Range: %s, then the answer is %j', (header, expected) => {
  expect(readRange(header, 1000)).toEqual(expected)
})
