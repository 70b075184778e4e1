// Reads MPEG audio frame by frame. Headers may be wrong, so only the frames show the duration and whether the audio is complete.
import type { ForwardBytes } from './forward-file.ts'
import { FRAME_HEADER_BYTES, MAX_FRAME_BYTES, readFrame, type MpegFrame } from './mpeg-frame.ts'
import { readInfo } from './mpeg-info.ts'
import { newPart, type MpegPart } from './mpeg-part.ts'
import { endsWithMessage } from './message.ts'
import { tagBytesAt } from './tags.ts'
import type { WavPart } from './wav.ts'

export type AudioPart = WavPart | MpegPart

/** A complete frame. */
export interface FoundFrame {
  bytes: Buffer
  frame: MpegFrame
  part: MpegPart
}
/** Receives the frames of a view, in the order of the file. Their bytes are valid until its promise is fulfilled. */
export type OnFrames = (frames: FoundFrame[]) => Promise<void>

/** Random bytes sometimes look like one frame, but almost never like three in a row. */
const FRAMES_TO_BELIEVE = 3
/** The number of bytes that a view must have to recognize consecutive frames. */
export const LOOKAHEAD_BYTES = FRAMES_TO_BELIEVE * MAX_FRAME_BYTES + FRAME_HEADER_BYTES
/** A recording does not have more parts. The limit bounds the memory. */
export const MAX_PARTS = 1000
const ID3V1_BYTES = 128

/**
 * Returns the frame at `at` if more frames of its format follow, up to three in total or up to the end of the file.
 * @param isEnd true if the view ends at the end of the file
 */
export function startOfRun(view: Buffer, at: number, isEnd: boolean): MpegFrame | undefined {
  const first = readFrame(view, at)
  if (!first) return undefined
  let next = at + first.bytes
  for (let seen = 1; seen < FRAMES_TO_BELIEVE; seen += 1) {
    if (next >= view.length) return isEnd && seen > 1 ? first : undefined
    const frame = readFrame(view, next, first.freeBytes)
    if (!frame) return isEnd && seen > 1 && tagBytesAt(view, next, view.length - next) !== undefined ? first : undefined
    if (frame.format !== first.format) return undefined
    next += frame.bytes
  }
  return first
}

/** True if the rest of the file is one frame, or one frame and a tag. */
export function isOnlyFrame(view: Buffer, at: number, left: number): boolean {
  const frame = readFrame(view, at)
  if (!frame || frame.bytes > left) return false
  return frame.bytes === left || tagBytesAt(view, at + frame.bytes, left - frame.bytes) !== undefined
}

/** Reads frames and adds them to the list of parts. A frame with a Xing, Info or VBRI header starts a new part. */
export class MpegReader {
  readonly #file: ForwardBytes
  readonly #parts: AudioPart[]
  readonly #onFrames: OnFrames | undefined
  /** The frames of the current view, if somebody receives them. */
  readonly #found: FoundFrame[] = []
  #last: MpegFrame | undefined
  #isInterrupted = false

  /** @param parts the list to which the frames are added */
  constructor(file: ForwardBytes, parts: AudioPart[], onFrames?: OnFrames) {
    this.#file = file
    this.#parts = parts
    this.#onFrames = onFrames
  }

  /** @returns the offset at which the frames end */
  async read(start: number): Promise<number> {
    let offset = start
    for (;;) {
      const view = await this.#file.view(offset)
      const isEnd = offset + view.length >= this.#file.size
      const { at, isOver } = this.#readView(view, offset, isEnd)
      await this.#onFrames?.(this.#found.splice(0))
      offset += at
      if (isOver || isEnd) return this.#finish(view, at, offset)
    }
  }

  #readView(view: Buffer, offset: number, isEnd: boolean): { at: number; isOver: boolean } {
    let at = 0
    while (isEnd ? at < view.length : at + LOOKAHEAD_BYTES <= view.length) {
      const frame = this.#frameAt(view, at, isEnd)
      if (!frame) return { at, isOver: true }
      const left = endOfFrames(view, at, frame, isEnd) - at
      if (frame.bytes > left) {
        const part = this.#part()
        if (part) part.isCut = true
        return { at: at + left, isOver: true }
      }
      const inside = startInside(view, at, frame, isEnd)
      if (inside !== undefined) {
        this.#interrupt()
        at = inside
        continue
      }
      this.#take(view, at, offset + at, frame)
      at += frame.bytes
    }
    return { at, isOver: at >= view.length }
  }

  /** Returns the frame at `at` if it has the format of the previous frame, or if consecutive frames of another format start there. */
  #frameAt(view: Buffer, at: number, isEnd: boolean): MpegFrame | undefined {
    const last = this.#last
    const frame = readFrame(view, at, last?.freeBytes)
    if (frame && (!last || frame.format === last.format) && isFollowed(view, at, frame, isEnd)) return frame
    return startOfRun(view, at, isEnd)
  }

  #take(view: Buffer, at: number, offset: number, frame: MpegFrame): void {
    const info = readInfo(view, at, frame)
    let part = this.#part()
    const isNew = (info !== undefined || this.#isInterrupted) && this.#parts.length <= MAX_PARTS
    if (!part || isNew) {
      part = newPart(offset, frame, info)
      this.#parts.push(part)
    }
    this.#isInterrupted = false
    part.end = offset + frame.bytes
    part.bytes += frame.bytes
    part.changesFormat ||= frame.sampleRate !== part.first.sampleRate || frame.channels !== part.first.channels
    part.isCut = false
    this.#last = frame
    if (this.#onFrames) this.#found.push({ bytes: view.subarray(at, at + frame.bytes), frame, part })
    if (info) return
    part.frames += 1
    part.seconds += frame.samples / frame.sampleRate
  }

  /** Marks the current part as cut. The frames that follow start a new part. */
  #interrupt(): void {
    const part = this.#part()
    if (part) part.isCut = true
    this.#isInterrupted = true
  }

  #part(): MpegPart | undefined {
    const part = this.#parts.at(-1)
    return part?.kind === 'mpeg' ? part : undefined
  }

  #finish(view: Buffer, at: number, offset: number): number {
    const part = this.#part()
    if (!part || !this.#last) return offset
    const left = this.#file.size - offset
    if (left > 0 && left < FRAME_HEADER_BYTES && isBeginningOfHeader(view.subarray(at, at + left), this.#last)) {
      part.isCut = true
      return this.#file.size
    }
    part.endsWithText = endsWithMessage(view.subarray(Math.max(0, at - this.#last.bytes), at))
    return offset
  }
}

/** Returns the offset at which other frames start before this frame ends. The rest of this frame is then missing. */
function startInside(view: Buffer, at: number, { bytes }: MpegFrame, isEnd: boolean): number | undefined {
  const end = at + bytes
  if (end >= view.length || readFrame(view, end) || tagBytesAt(view, end, view.length - end) !== undefined) return undefined
  for (let inside = view.indexOf(0xff, at + 1); inside !== -1 && inside < end; inside = view.indexOf(0xff, inside + 1)) {
    if (startOfRun(view, inside, isEnd)) return inside
  }
  return undefined
}

/** The header gives the length of a frame, except in free format: there, frames of another encoder may have another length. */
function isFollowed(view: Buffer, at: number, { bytes, freeBytes }: MpegFrame, isEnd: boolean): boolean {
  if (freeBytes === undefined || readFrame(view, at + bytes, freeBytes)) return true
  const left = view.length - (at + bytes)
  return isEnd && (left < FRAME_HEADER_BYTES || tagBytesAt(view, at + bytes, left) !== undefined)
}

/** If an ID3v1 tag starts within the frame, the tag was appended to a truncated file, and the frame ends at the tag. */
function endOfFrames(view: Buffer, at: number, frame: MpegFrame, isEnd: boolean): number {
  const tag = view.length - ID3V1_BYTES
  const isInFrame = isEnd && at < tag && at + frame.bytes > tag
  return isInFrame && view.toString('latin1', tag, tag + 3) === 'TAG' ? tag : isEnd ? view.length : at + frame.bytes
}

function isBeginningOfHeader(bytes: Buffer, { format }: MpegFrame): boolean {
  if (bytes[0] !== 0xff) return false
  return bytes.length < 2 || (bytes[1]! & 0x1e) === format >> 8
}
