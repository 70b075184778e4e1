import { expect, test } from '@jest/globals'
import { Readable } from 'node:stream'
import { GrowingBuffer } from '../../platform/growing-buffer.ts'
import { readStart } from '../../platform/read-start.ts'

test('When thousands of single bytes are appended, then the buffer allocates the predicted size, at most twice its length', () => {
  const buffer = new GrowingBuffer(100_000)
  for (let i = 0; i < 20_000; i += 1) {
    const announced = buffer.capacityFor(i + 1)
    buffer.append(Buffer.of(i % 251))
    expect(buffer.bytes().buffer.byteLength).toBe(announced)
  }
  expect(buffer.bytes()).toEqual(Buffer.from(Array.from({ length: 20_000 }, (_, i) => i % 251)))
  expect(buffer.capacityFor(20_000)).toBeLessThan(40_000)
})

test('When a buffer is almost full, then it allocates no more than its limit, and rejects further bytes', () => {
  const buffer = new GrowingBuffer(1500)
  buffer.append(Buffer.alloc(1500))
  expect(buffer.bytes().buffer.byteLength).toBe(1500)
  expect(() => buffer.append(Buffer.alloc(1))).toThrow(RangeError)
  expect(buffer.length).toBe(1500)
})

test('When a body arrives in many pieces, then each piece is copied soon after its arrival', async () => {
  const given: Buffer[] = []
  function* pieces(): Generator<Buffer> {
    for (let i = 0; i < 1000; i += 1) {
      given.at(-10)?.fill('-')
      given.push(Buffer.from('a'))
      yield given.at(-1)!
    }
  }
  const { kind, bytes } = await readStart(Readable.from(pieces(), { highWaterMark: 1 }), 5_000_000)
  expect({ kind, text: bytes.toString() }).toEqual({ kind: 'whole', text: 'a'.repeat(1000) })
  expect(bytes.buffer.byteLength).toBeLessThan(2000)
})

test.each([
  [9, 'longer', 'abcdefghi'],
  [10, 'whole', 'abcdefghij'],
])('When at most %d bytes of a 10-byte body are read, then the result is %s', async (maxBytes, kind, text) => {
  const start = await readStart(Readable.from(['abc', 'defg', 'hij'].map((piece) => Buffer.from(piece))), maxBytes)
  expect({ kind: start.kind, text: start.bytes.toString() }).toEqual({ kind, text })
})
