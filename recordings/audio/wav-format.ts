// The `fmt ` chunk of a WAV.

export type WavFormat =
  { kind: 'accepted'; codec: string; channels: number; sampleRate: number; frameBytes: number } | { kind: 'not accepted'; why: string }

/** The fields of the chunk, whether they are accepted or not. */
export interface WavDescription {
  /** The codec: the tag in the extension, if there is one. */
  tag: number
  channels: number
  sampleRate: number
  bits: number
}

export const FORMAT_BYTES = 40
const MIN_FORMAT_BYTES = 16
const EXTENSIBLE = 0xfffe
export const PCM = 1
export const IEEE_FLOAT = 3
export const A_LAW = 6
export const MU_LAW = 7
const CODECS: Record<number, { codec: string; bits: number[] }> = {
  [PCM]: { codec: 'pcm', bits: [8, 16, 24] },
  [A_LAW]: { codec: 'alaw', bits: [8] },
  [MU_LAW]: { codec: 'ulaw', bits: [8] },
}

/**
 * Block align and byte rate are not used: some writers write wrong values there, and correct values into the other fields.
 * @returns undefined if the chunk is too short
 */
export function describeWav(bytes: Buffer): WavDescription | undefined {
  if (bytes.length < MIN_FORMAT_BYTES) return undefined
  const tag = bytes.readUInt16LE(0)
  const realTag = tag === EXTENSIBLE && bytes.length >= 26 ? bytes.readUInt16LE(24) : tag
  return { tag: realTag, channels: bytes.readUInt16LE(2), sampleRate: bytes.readUInt32LE(4), bits: bytes.readUInt16LE(14) }
}

export function readWavFormat(bytes: Buffer): WavFormat {
  const description = describeWav(bytes)
  if (!description) return { kind: 'not accepted', why: 'The WAV has no complete description of its format' }
  const { tag, channels, sampleRate, bits } = description
  const known = CODECS[tag]
  if (!known || !known.bits.includes(bits)) {
    return { kind: 'not accepted', why: `The WAV's codec is not accepted: format 0x${tag.toString(16)} with ${bits} bits per sample` }
  }
  if (channels < 1 || channels > 2) return { kind: 'not accepted', why: `The WAV has ${channels} channels` }
  if (sampleRate < 4000 || sampleRate > 192_000) return { kind: 'not accepted', why: `The WAV's sample rate is ${sampleRate} Hz` }
  const codec = tag === PCM && bits > 8 ? `pcm${bits}` : known.codec
  return { kind: 'accepted', codec, channels, sampleRate, frameBytes: (channels * bits) / 8 }
}
