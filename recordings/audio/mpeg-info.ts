// The first frame of many MP3s has no audio but a Xing, Info or VBRI header: the number of frames, and the samples added by the encoder.
import { isMark } from './mark.ts'
import { FRAME_HEADER_BYTES, type MpegFrame } from './mpeg-frame.ts'

export interface MpegInfo {
  /** Absent if the encoder did not know the number. */
  frames?: number
  /** Includes this frame. Absent if the encoder did not know the number. */
  bytes?: number
  /** Samples that the encoder added and that players skip; 0 if unknown. */
  trimStart: number
  trimEnd: number
}

const HAS_FRAMES = 1
const HAS_BYTES = 2
const HAS_TABLE = 4
const HAS_QUALITY = 8
const TABLE_BYTES = 100
/** The samples that a decoder adds to the delay that the encoder recorded. */
const DECODER_DELAY = 529
const CRC_BYTES = 2
const VBRI_OFFSET = FRAME_HEADER_BYTES + 32

/** The first letters of the marks. */
const FIRST_LETTERS = new Set(Buffer.from('XIV'))

/** Returns undefined if the frame at `at` is ordinary audio. */
export function readInfo(view: Buffer, at: number, frame: MpegFrame): MpegInfo | undefined {
  const mayStart = (offset: number): boolean => FIRST_LETTERS.has(view[at + offset]!)
  if (!mayStart(frame.infoOffset) && !mayStart(frame.infoOffset + CRC_BYTES) && !mayStart(VBRI_OFFSET)) return undefined
  const bytes = view.subarray(at, at + frame.bytes)
  const start = [frame.infoOffset, frame.infoOffset + CRC_BYTES].find(
    (offset) => isMark(bytes, offset, 'Xing') || isMark(bytes, offset, 'Info'),
  )
  if (start !== undefined) return readXing(bytes, start)
  return isMark(bytes, VBRI_OFFSET, 'VBRI') && bytes.length >= VBRI_OFFSET + 18
    ? {
        ...known('bytes', bytes.readUInt32BE(VBRI_OFFSET + 10)),
        ...known('frames', bytes.readUInt32BE(VBRI_OFFSET + 14)),
        trimStart: 0,
        trimEnd: 0,
      }
    : undefined
}

function readXing(bytes: Buffer, start: number): MpegInfo | undefined {
  if (bytes.length < start + 8) return undefined
  const flags = bytes.readUInt32BE(start + 4)
  let at = start + 8
  const next = (flag: number, length: number): number | undefined => {
    if ((flags & flag) === 0) return undefined
    at += length
    return length === 4 && at <= bytes.length ? bytes.readUInt32BE(at - 4) : undefined
  }
  const frames = next(HAS_FRAMES, 4)
  const size = next(HAS_BYTES, 4)
  next(HAS_TABLE, TABLE_BYTES)
  next(HAS_QUALITY, 4)
  return { ...known('frames', frames), ...known('bytes', size), ...readTrim(bytes.subarray(at)) }
}

/** Reads 12 bits of delay and 12 bits of padding after the name of the encoder [LAME's "mp3 info tag"]. */
function readTrim(tag: Buffer): Pick<MpegInfo, 'trimStart' | 'trimEnd'> {
  if (tag.length < 24 || !/^(LAME|Lav[fc])/.test(tag.toString('latin1', 0, 4))) return { trimStart: 0, trimEnd: 0 }
  const both = tag.readUIntBE(21, 3)
  return { trimStart: (both >> 12) + DECODER_DELAY, trimEnd: Math.max(0, (both & 0xfff) - DECODER_DELAY) }
}

/** Encoders that write to a pipe do not know the number and write 0. */
function known<Key extends string>(key: Key, value: number | undefined): Partial<Record<Key, number>> {
  return value ? ({ [key]: value } as Record<Key, number>) : {}
}
