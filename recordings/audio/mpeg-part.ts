import type { MpegFrame } from './mpeg-frame.ts'
import type { MpegInfo } from './mpeg-info.ts'

/** Frames that belong together: what one encoder wrote. */
export interface MpegPart {
  kind: 'mpeg'
  start: number
  end: number
  first: MpegFrame
  info?: MpegInfo
  /** Without the frame that holds {@link info}. */
  frames: number
  seconds: number
  /** Of all frames, without what stands between them. */
  bytes: number
  /** The last frame is not complete. */
  isCut: boolean
  /** Something else than audio stands in the last frame. */
  endsWithText: boolean
  changesFormat: boolean
}

/** A part without frames yet. */
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
