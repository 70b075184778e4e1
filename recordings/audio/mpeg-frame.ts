// The header of one MPEG audio frame [ISO 11172-3, 13818-3; MPEG 2.5 as LAME writes it].

export interface MpegFrame {
  bytes: number
  samples: number
  sampleRate: number
  channels: number
  layer: 1 | 2 | 3
  /** Version, layer and sample rate: the same in all frames of one encoding. */
  format: number
  /** Length of a frame without padding, if its header has no bit rate (free format). */
  freeBytes?: number
  /** The offset of the data after the header and the side information, if the frame has no CRC. */
  infoOffset: number
}

export const FRAME_HEADER_BYTES = 4
/** The largest frame that encoders write: free format at 640 kbit/s and 8 kHz. */
export const MAX_FRAME_BYTES = 6000
const MIN_FRAME_BYTES = 24
/** Bounds the search for the length of a frame in free format; compressed audio has one 0xFF in 256 bytes. */
const MAX_SYNCS_IN_FRAME = 128

const KBPS = {
  mpeg1: {
    1: [0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
    2: [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
    3: [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
  },
  mpeg2: {
    1: [0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
    2: [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    3: [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
  },
}
const SAMPLE_RATES_MPEG1 = [44_100, 48_000, 32_000]
/** The key is the two version bits. Sample rates are halved for MPEG-2 and quartered for MPEG-2.5. */
const RATE_DIVISORS: Record<number, number> = { 0: 4, 2: 2, 3: 1 }
const MONO = 3

/**
 * Returns the frame at `at`, or undefined if no frame starts there.
 * @param freeBytes the length of frames in free format, if known; otherwise it is determined from `view`
 */
export function readFrame(view: Buffer, at: number, freeBytes?: number): MpegFrame | undefined {
  if (at + FRAME_HEADER_BYTES > view.length || view[at] !== 0xff) return undefined
  const second = view[at + 1]!
  const third = view[at + 2]!
  if ((second & 0xe0) !== 0xe0) return undefined
  const divisor = RATE_DIVISORS[(second >> 3) & 3]
  const layer = 4 - ((second >> 1) & 3)
  const baseRate = SAMPLE_RATES_MPEG1[(third >> 2) & 3]
  if (!divisor || !baseRate || !isLayer(layer)) return undefined
  const isMpeg1 = divisor === 1
  const kbps = KBPS[isMpeg1 ? 'mpeg1' : 'mpeg2'][layer][third >> 4]
  if (kbps === undefined) return undefined
  const sampleRate = baseRate / divisor
  const samples = layer === 1 ? 384 : layer === 3 && !isMpeg1 ? 576 : 1152
  const padding = ((third >> 1) & 1) * (layer === 1 ? 4 : 1)
  const channels = view[at + 3]! >> 6 === MONO ? 1 : 2
  const sideInfo = isMpeg1 ? (channels === 1 ? 17 : 32) : channels === 1 ? 9 : 17
  const format = formatOf(view, at)
  const infoOffset = FRAME_HEADER_BYTES + sideInfo
  if (kbps > 0) {
    const slots = Math.floor((samples * kbps * 125) / sampleRate / (layer === 1 ? 4 : 1))
    return { bytes: slots * (layer === 1 ? 4 : 1) + padding, samples, sampleRate, channels, layer, format, infoOffset }
  }
  const free = freeBytes ?? findFreeBytes(view, at)
  return free === undefined
    ? undefined
    : { bytes: free + padding, freeBytes: free, samples, sampleRate, channels, layer, format, infoOffset }
}

function isLayer(layer: number): layer is 1 | 2 | 3 {
  return layer >= 1 && layer <= 3
}

function formatOf(view: Buffer, at: number): number {
  return ((view[at + 1]! & 0x1e) << 8) | (view[at + 2]! & 0x0c)
}

/** Returns the distance between three consecutive headers in free format. At the end of the view, two headers are sufficient. */
function findFreeBytes(view: Buffer, at: number): number | undefined {
  const last = Math.min(at + MAX_FRAME_BYTES, view.length - FRAME_HEADER_BYTES)
  let next = view.indexOf(0xff, at + MIN_FRAME_BYTES)
  for (let syncs = 0; next !== -1 && next <= last && syncs < MAX_SYNCS_IN_FRAME; syncs += 1) {
    if (isFreeLike(view, at, next)) {
      const bytes = next - at - paddingOf(view, at)
      const third = next + bytes + paddingOf(view, next)
      if (third >= view.length || isFreeLike(view, at, third)) return bytes
    }
    next = view.indexOf(0xff, next + 1)
  }
  return undefined
}

function isFreeLike(view: Buffer, at: number, other: number): boolean {
  if (other + FRAME_HEADER_BYTES > view.length || view[other] !== 0xff) return false
  return view[other + 1] === view[at + 1] && view[other + 2]! >> 4 === 0 && formatOf(view, other) === formatOf(view, at)
}

function paddingOf(view: Buffer, at: number): number {
  const isLayer1 = ((view[at + 1]! >> 1) & 3) === 3
  return ((view[at + 2]! >> 1) & 1) * (isLayer1 ? 4 : 1)
}
