// Reads MPEG audio frame by frame: nothing else tells whether it is complete and how long it is, whatever its headers say.
import type { ForwardFile } from './forward-file.ts'
import { FRAME_HEADER_BYTES, MAX_FRAME_BYTES, readFrame, type MpegFrame } from './mpeg-frame.ts'
import { readInfo } from './mpeg-info.ts'
import { newPart, type MpegPart } from './mpeg-part.ts'
import { endsWithMessage } from './message.ts'
import { tagBytesAt } from './tags.ts'
import type { WavPart } from './wav.ts'

export type AudioPart = WavPart | MpegPart

/** Random bytes look like one frame now and then, hardly ever like three in a row. */
const FRAMES_TO_BELIEVE = 3
/** What has to be in the view to recognize frames that follow one another. */
export const LOOKAHEAD_BYTES = FRAMES_TO_BELIEVE * MAX_FRAME_BYTES + FRAME_HEADER_BYTES
/** More parts are no recording; the limit bounds the memory. */
export const MAX_PARTS = 1000
const ID3V1_BYTES = 128

/**
 * The frame at `at`, if others of its format follow, or the end of the file.
 * @param isEnd the view ends with the file
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

/** A file of one frame. */
export function isOnlyFrame(view: Buffer, at: number, left: number): boolean {
  const frame = readFrame(view, at)
  if (!frame || frame.bytes > left) return false
  return frame.bytes === left || tagBytesAt(view, at + frame.bytes, left - frame.bytes) !== undefined
}

/** Reads the frames at `start` into the list of parts; a frame that announces how many follow begins another part. */
export class MpegReader {
  readonly #file: ForwardFile
  readonly #parts: AudioPart[]
  #last: MpegFrame | undefined
  #isInterrupted = false

  /** @param parts to which the frames are added */
  constructor(file: ForwardFile, parts: AudioPart[]) {
    this.#file = file
    this.#parts = parts
  }

  /** @returns where the frames end */
  async read(start: number): Promise<number> {
    let offset = start
    for (;;) {
      const view = await this.#file.view(offset)
      const isEnd = offset + view.length >= this.#file.size
      const { at, isOver } = this.#readView(view, offset, isEnd)
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

  /** In the format of the frame before, or in another one that goes on. */
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
    if (info) return
    part.frames += 1
    part.seconds += frame.samples / frame.sampleRate
  }

  /** The frames that follow are another part, so that this one stays cut. */
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

/** Where other frames start before this one ends: the rest of it is missing. */
function startInside(view: Buffer, at: number, { bytes }: MpegFrame, isEnd: boolean): number | undefined {
  const end = at + bytes
  if (end >= view.length || readFrame(view, end) || tagBytesAt(view, end, view.length - end) !== undefined) return undefined
  for (let inside = view.indexOf(0xff, at + 1); inside !== -1 && inside < end; inside = view.indexOf(0xff, inside + 1)) {
    if (startOfRun(view, inside, isEnd)) return inside
  }
  return undefined
}

/** The header names the length of a frame, except in free format, where another encoder may have used another one. */
function isFollowed(view: Buffer, at: number, { bytes, freeBytes }: MpegFrame, isEnd: boolean): boolean {
  if (freeBytes === undefined || readFrame(view, at + bytes, freeBytes)) return true
  const left = view.length - (at + bytes)
  return isEnd && (left < FRAME_HEADER_BYTES || tagBytesAt(view, at + bytes, left) !== undefined)
}

/** Where an ID3v1 tag stands in the frame, somebody has put it behind a truncated file. */
function endOfFrames(view: Buffer, at: number, frame: MpegFrame, isEnd: boolean): number {
  const tag = view.length - ID3V1_BYTES
  const isInFrame = isEnd && at < tag && at + frame.bytes > tag
  return isInFrame && view.toString('latin1', tag, tag + 3) === 'TAG' ? tag : isEnd ? view.length : at + frame.bytes
}

function isBeginningOfHeader(bytes: Buffer, { format }: MpegFrame): boolean {
  if (bytes[0] !== 0xff) return false
  return bytes.length < 2 || (bytes[1]! & 0x1e) === format >> 8
}
