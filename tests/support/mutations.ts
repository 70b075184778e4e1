import fc from 'fast-check'
import { allRecipes } from '../corpus/recipes.ts'

const HEAD_BYTES = 200
const MAX_CHANGES = 20

type Change =
  { kind: 'set'; at: number; byte: number } | { kind: 'cut'; from: number; bytes: number } | { kind: 'repeat'; from: number; bytes: number }

/** Files of the corpus with random bytes changed, removed and repeated, mostly in their headers and at their ends; also two joined. */
export function mutatedFiles(): fc.Arbitrary<Buffer> {
  const files = allRecipes().map(({ file }) => file)
  const at = fc.oneof(
    { weight: 3, arbitrary: fc.nat(HEAD_BYTES) },
    { weight: 1, arbitrary: fc.nat(500_000) },
    { weight: 1, arbitrary: fc.integer({ min: -300, max: -1 }) },
  )
  const byte = fc.oneof(fc.constantFrom(0, 1, 0x49, 0x52, 0x7f, 0x80, 0xe3, 0xfb, 0xff), fc.nat(255))
  const change = fc.oneof<fc.Arbitrary<Change>[]>(
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('set' as const), at, byte }) } as never,
    fc.record({ kind: fc.constant('cut' as const), from: at, bytes: fc.nat(5000) }),
    fc.record({ kind: fc.constant('repeat' as const), from: at, bytes: fc.nat(5000) }),
  )
  const one = fc
    .tuple(fc.constantFrom(...files), fc.array(change, { maxLength: MAX_CHANGES }))
    .map(([file, changes]) => changes.reduce(changed, Buffer.from(file)))
  return fc.oneof({ weight: 4, arbitrary: one }, { weight: 1, arbitrary: fc.tuple(one, one).map((parts) => Buffer.concat(parts)) })
}

function changed(file: Buffer, change: Change): Buffer {
  if (file.length === 0) return file
  if (change.kind === 'set') {
    file[positionIn(file, change.at)] = change.byte
    return file
  }
  const from = positionIn(file, change.from)
  const to = Math.min(file.length, from + change.bytes)
  return change.kind === 'cut'
    ? Buffer.concat([file.subarray(0, from), file.subarray(to)])
    : Buffer.concat([file.subarray(0, to), file.subarray(from)])
}

function positionIn(file: Buffer, at: number): number {
  return ((at % file.length) + file.length) % file.length
}
