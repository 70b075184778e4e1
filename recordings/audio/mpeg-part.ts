import type { MpegFrame } from './mpeg-frame.ts'
import type { MpegInfo } from './mpeg-info.ts'

/** Frames that one encoder wrote. */
export interface MpegPart {
  kind: 'mpeg'
  start: number
  end: number
  first: MpegFrame
  info?: MpegInfo
  /** The number of frames, without the frame that contains {@link info}. */
  frames: number
  seconds: number
  /** The total size of all frames, without the bytes between them. */
  bytes: number
  /** The last frame is not complete. */
  isCut: boolean
  /** The last frame contains a text message. */
  endsWithText: boolean
  changesFormat: boolean
}

/** Returns a part that has no frames yet. */
export function newPart(start: number, first: MpegFrame, info: MpegInfo | undefined): MpegPart {
  return {
    kind: 'mpeg',
    start,
    end: start,
    first,
    ...(info && { info }),
    frames: 0,
    seconds: 0,
    bytes: 0,
    isCut: false,
    endsWithText: false,
    changesFormat: false,
  }
}
