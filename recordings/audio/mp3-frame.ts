// The header of one MPEG audio frame, layer III [ISO 11172-3, 13818-3; MPEG 2.5 as LAME writes it].

export interface Mp3Frame {
  bytes: number
  samples: number
  sampleRate: number
  channels: number
  /** Where a Xing or Info header starts, from the frame's start. */
  sideInfoEnd: number
}

export const FRAME_HEADER_BYTES = 4

const KBPS_MPEG1 = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320]
const KBPS_MPEG2 = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160]
const SAMPLE_RATES_MPEG1 = [44_100, 48_000, 32_000]
/** Sample rates are halved for MPEG-2 and quartered for MPEG-2.5. */
const VERSIONS: Record<number, { divisor: number; mpeg1: boolean }> = {
  0: { divisor: 4, mpeg1: false },
  2: { divisor: 2, mpeg1: false },
  3: { divisor: 1, mpeg1: true },
}
const LAYER_III = 1
const MONO = 3

/** Undefined where the four bytes are no header of a layer III frame (free-format frames included: nobody sends them). */
export function readFrameHeader(bytes: Buffer): Mp3Frame | undefined {
  if (bytes.length < FRAME_HEADER_BYTES || bytes[0] !== 0xff || (bytes[1]! & 0xe0) !== 0xe0) return undefined
  const version = VERSIONS[(bytes[1]! >> 3) & 3]
  if (!version || ((bytes[1]! >> 1) & 3) !== LAYER_III) return undefined
  const kbps = (version.mpeg1 ? KBPS_MPEG1 : KBPS_MPEG2)[bytes[2]! >> 4]
  const baseRate = SAMPLE_RATES_MPEG1[(bytes[2]! >> 2) & 3]
  if (!kbps || !baseRate) return undefined
  const sampleRate = baseRate / version.divisor
  const samples = version.mpeg1 ? 1152 : 576
  const padding = (bytes[2]! >> 1) & 1
  const channels = bytes[3]! >> 6 === MONO ? 1 : 2
  const sideInfo = version.mpeg1 ? (channels === 1 ? 17 : 32) : channels === 1 ? 9 : 17
  return {
    bytes: Math.floor((samples * kbps * 125) / sampleRate) + padding,
    samples,
    sampleRate,
    channels,
    sideInfoEnd: FRAME_HEADER_BYTES + sideInfo,
  }
}
