// The `fmt ` chunk of a WAV.

export type WavFormat =
  { kind: 'accepted'; codec: string; channels: number; sampleRate: number; frameBytes: number } | { kind: 'not accepted'; why: string }

export const FORMAT_BYTES = 40
const MIN_FORMAT_BYTES = 16
const EXTENSIBLE = 0xfffe
const PCM = 1
const CODECS: Record<number, { codec: string; bits: number[] }> = {
  [PCM]: { codec: 'pcm', bits: [8, 16, 24] },
  6: { codec: 'alaw', bits: [8] },
  7: { codec: 'ulaw', bits: [8] },
}

/** Block align and byte rate are not used: some writers write wrong values there, and correct values into the other fields. */
export function readWavFormat(bytes: Buffer): WavFormat {
  if (bytes.length < MIN_FORMAT_BYTES) return { kind: 'not accepted', why: 'The WAV has no complete description of its format' }
  const tag = bytes.readUInt16LE(0)
  const realTag = tag === EXTENSIBLE && bytes.length >= 26 ? bytes.readUInt16LE(24) : tag
  const [channels, sampleRate, bits] = [bytes.readUInt16LE(2), bytes.readUInt32LE(4), bytes.readUInt16LE(14)]
  const known = CODECS[realTag]
  if (!known || !known.bits.includes(bits)) {
    return { kind: 'not accepted', why: `The WAV's codec is not accepted: format 0x${realTag.toString(16)} with ${bits} bits per sample` }
  }
  if (channels < 1 || channels > 2) return { kind: 'not accepted', why: `The WAV has ${channels} channels` }
  if (sampleRate < 4000 || sampleRate > 192_000) return { kind: 'not accepted', why: `The WAV's sample rate is ${sampleRate} Hz` }
  const codec = realTag === PCM && bits > 8 ? `pcm${bits}` : known.codec
  return { kind: 'accepted', codec, channels, sampleRate, frameBytes: (channels * bits) / 8 }
}
