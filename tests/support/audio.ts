// Builds audio files byte by byte: sound ones, and ones that lie.

export interface WavOptions {
  tag?: number
  channels?: number
  sampleRate?: number
  bits?: number
  seconds?: number
  /** As the header claims it; the truth unless said. */
  byteRate?: number
  blockAlign?: number
  dataSize?: number
  /** Samples in a `fact` chunk. */
  fact?: number
  riff?: 'RIFF' | 'RF64'
  /** Chunks before and behind the data. */
  before?: Buffer[]
  after?: Buffer[]
  /** WAVE_FORMAT_EXTENSIBLE with this tag inside. */
  extensible?: boolean
}

export function wav(options: WavOptions = {}): Buffer {
  const { tag = 1, channels = 1, sampleRate = 8000, bits = 16, seconds = 2, riff = 'RIFF', before = [], after = [] } = options
  const frame = (channels * bits) / 8
  const data = Buffer.alloc(seconds * sampleRate * frame, 0x55)
  const format = Buffer.alloc(options.extensible ? 40 : 16)
  format.writeUInt16LE(options.extensible ? 0xfffe : tag, 0)
  format.writeUInt16LE(channels, 2)
  format.writeUInt32LE(sampleRate, 4)
  format.writeUInt32LE(options.byteRate ?? sampleRate * frame, 8)
  format.writeUInt16LE(options.blockAlign ?? frame, 12)
  format.writeUInt16LE(bits, 14)
  if (options.extensible) format.writeUInt16LE(tag, 24)
  const fact = options.fact === undefined ? [] : [chunk('fact', uint32(options.fact))]
  const dataChunk = Buffer.concat([Buffer.from('data'), uint32(options.dataSize ?? data.length), data])
  const ds64 = riff === 'RF64' ? [chunk('ds64', Buffer.concat([uint64(0), uint64(data.length), uint64(0), uint32(0)]))] : []
  const body = Buffer.concat([Buffer.from('WAVE'), ...ds64, ...before, chunk('fmt ', format), ...fact, dataChunk, ...after])
  return Buffer.concat([Buffer.from(riff), uint32(riff === 'RF64' ? 0xffffffff : body.length), body])
}

/** @param pad odd content is padded unless a writer forgets it */
export function chunk(id: string, content: Buffer, pad = true): Buffer {
  const padding = pad && content.length % 2 === 1 ? Buffer.alloc(1) : Buffer.alloc(0)
  return Buffer.concat([Buffer.from(id), uint32(content.length), content, padding])
}

export interface Mp3Options {
  version?: 1 | 2 | 2.5
  channels?: 1 | 2
  frames?: number
  id3?: number
  xingFrames?: number
  vbriFrames?: number
  trailer?: Buffer<ArrayBuffer>
}

/** Frames of silence-like bytes, constant bit rate: 64 kbit/s (MPEG-1) or 32 (2, 2.5). */
export function mp3({
  version = 1,
  channels = 1,
  frames = 50,
  id3 = 0,
  xingFrames,
  vbriFrames,
  trailer = Buffer.alloc(0),
}: Mp3Options = {}): Buffer<ArrayBuffer> {
  const versionBits = { 1: 3, 2: 2, 2.5: 0 }[version]
  const sampleRate = { 1: 44_100, 2: 22_050, 2.5: 11_025 }[version]
  const [kbps, index, samples] = version === 1 ? [64, 5, 1152] : [32, 4, 576]
  const frame = Buffer.alloc(Math.floor((samples * kbps * 125) / sampleRate))
  frame[0] = 0xff
  frame[1] = 0xe0 | (versionBits << 3) | (1 << 1) | 1
  frame[2] = index << 4
  frame[3] = channels === 1 ? 0xc0 : 0
  const first = Buffer.from(frame)
  const sideInfo = version === 1 ? (channels === 1 ? 17 : 32) : channels === 1 ? 9 : 17
  if (xingFrames !== undefined) {
    first.write('Xing', 4 + sideInfo, 'latin1')
    first.writeUInt32BE(1, 8 + sideInfo)
    first.writeUInt32BE(xingFrames, 12 + sideInfo)
  }
  if (vbriFrames !== undefined) {
    first.write('VBRI', 36, 'latin1')
    first.writeUInt32BE(vbriFrames, 50)
  }
  const header = xingFrames === undefined && vbriFrames === undefined ? [] : [first]
  return Buffer.concat([id3 > 0 ? id3Tag(id3) : Buffer.alloc(0), ...header, ...Array.from({ length: frames }, () => frame), trailer])
}

function id3Tag(bytes: number): Buffer<ArrayBuffer> {
  const size = [(bytes >> 21) & 0x7f, (bytes >> 14) & 0x7f, (bytes >> 7) & 0x7f, bytes & 0x7f]
  return Buffer.concat([Buffer.from('ID3'), Buffer.from([4, 0, 0, ...size]), Buffer.alloc(bytes)])
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}
