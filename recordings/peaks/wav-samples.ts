// Reads the samples of a WAV. Also of encodings that are not accepted as good, because people listen to quarantined recordings, too.
import { A_LAW, IEEE_FLOAT, MU_LAW, PCM, type WavDescription } from '../audio/wav-format.ts'

/** Returns the sample at an offset; full scale is 1. */
export type ReadSample = (bytes: Buffer, at: number) => number

const SCALE_16 = 2 ** 15
const MU_LAW_BIAS = 0x84

const PCM_READERS: Record<number, ReadSample> = {
  8: (bytes, at) => (bytes[at]! - 128) / 128, // without a sign, unlike the others
  16: (bytes, at) => bytes.readInt16LE(at) / SCALE_16,
  24: (bytes, at) => bytes.readIntLE(at, 3) / 2 ** 23,
  32: (bytes, at) => bytes.readInt32LE(at) / 2 ** 31,
}
const FLOAT_READERS: Record<number, ReadSample> = {
  32: (bytes, at) => bytes.readFloatLE(at),
  64: (bytes, at) => bytes.readDoubleLE(at),
}
const READERS: Record<number, Record<number, ReadSample>> = {
  [PCM]: PCM_READERS,
  [IEEE_FLOAT]: FLOAT_READERS,
  [A_LAW]: { 8: fromTable(aLawSample) },
  [MU_LAW]: { 8: fromTable(muLawSample) },
}

/** Undefined if the encoding is not known. */
export function sampleReader({ tag, bits }: WavDescription): ReadSample | undefined {
  return READERS[tag]?.[bits]
}

function fromTable(sampleOf: (code: number) => number): ReadSample {
  const samples = Float32Array.from({ length: 256 }, (_, code) => sampleOf(code) / SCALE_16)
  return (bytes, at) => samples[bytes[at]!]!
}

/** @returns 16 bits [ITU-T G.711, table 1] */
function aLawSample(code: number): number {
  const bits = code ^ 0x55
  const exponent = (bits >> 4) & 7
  const mantissa = ((bits & 0x0f) << 4) + 8
  const magnitude = exponent === 0 ? mantissa : (mantissa + 0x100) << (exponent - 1)
  return (bits & 0x80) === 0 ? -magnitude : magnitude
}

/** @returns 16 bits [ITU-T G.711, table 2] */
function muLawSample(code: number): number {
  const bits = ~code
  const magnitude = ((((bits & 0x0f) << 3) + MU_LAW_BIAS) << ((bits >> 4) & 7)) - MU_LAW_BIAS
  return (bits & 0x80) === 0 ? magnitude : -magnitude
}
