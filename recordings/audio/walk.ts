// Reads a file once and finds all audio in it, and the gaps between.
import { VIEW_BYTES, type ForwardBytes } from './forward-file.ts'
import { holdsMessage } from './message.ts'
import { isOnlyFrame, LOOKAHEAD_BYTES, MAX_PARTS, MpegReader, startOfRun, type AudioPart, type OnFrames } from './mpeg.ts'
import { id3v2BytesAt, startsLikeTag, tagBytesAt } from './tags.ts'
import { TextCheck } from './text.ts'
import { isWave, readWav, startsLikeChunk } from './wav.ts'

/** Bytes that are neither audio nor a valid tag. */
export interface Gap {
  bytes: number
  /** Bytes other than zeros, which are padding. */
  junk: number
  text: TextCheck
  /** The rest of a tag whose size is wrong. */
  isTag: boolean
  /** The gap has the signature of a container that may contain MP3 frames. */
  hasContainer: boolean
}

export interface Walk {
  parts: AudioPart[]
  before?: Gap
  inside: { gaps: number; bytes: number; junk: number }
  behind?: Gap
  /** The file has a message of a server in place of audio. */
  hasMessage: boolean
  /** No audio starts where a tag ends. */
  hasWrongTag: boolean
  /** A tag that players skip contains audio. */
  hasAudioInTag: boolean
}

const CONTAINER_MARKS = ['ftyp', 'moov', 'mdat', 'OggS', 'AVI LIST', '\x1a\x45\xdf\xa3']
/** A few bytes may be letters by chance. */
const MIN_TEXT_BYTES = 8
const WAVE_OFFSET = 8
const ZERO = 0

interface WalkOptions {
  /** Where the walk starts. */
  from?: number
  /** Receives all MPEG frames. */
  onFrames?: OnFrames
}

export async function walkAudio(file: ForwardBytes, { from = 0, onFrames }: WalkOptions = {}): Promise<Walk> {
  const walk = newWalk()
  const mpeg = new MpegReader(file, walk.parts, onFrames)
  for (let offset = from; offset < file.size && walk.parts.length <= MAX_PARTS;) {
    const piece = await pieceAt(file, offset)
    if (piece.kind === 'wav') {
      closeGap(walk)
      const part = await readWav(file, offset)
      walk.parts.push(part)
      offset = part.end
    } else if (piece.kind === 'frames') {
      closeGap(walk)
      offset = await mpeg.read(offset)
    } else {
      offset = await passOther(file, offset, piece, walk)
    }
  }
  return walk
}

/** Finds the first audio of a file without reading it: a WAV, or MPEG frames. */
export async function findFirstAudio(file: ForwardBytes): Promise<{ kind: 'wav' | 'frames'; at: number } | undefined> {
  const walk = newWalk()
  for (let at = 0; at < file.size;) {
    const piece = await pieceAt(file, at)
    if (piece.kind === 'wav' || piece.kind === 'frames') return { kind: piece.kind, at }
    at = await passOther(file, at, piece, walk)
  }
  return undefined
}

function newWalk(): Walk {
  return { parts: [], inside: { gaps: 0, bytes: 0, junk: 0 }, hasMessage: false, hasWrongTag: false, hasAudioInTag: false }
}

/** What starts at an offset. */
type Piece = { kind: 'wav' } | { kind: 'frames' } | OtherPiece
type OtherPiece = { kind: 'tag'; bytes: number } | { kind: 'gap' }

async function pieceAt(file: ForwardBytes, offset: number): Promise<Piece> {
  const view = await file.view(offset)
  const left = file.size - offset
  if (isWave(view, 0)) return { kind: 'wav' }
  const tag = tagBytesAt(view, 0, left)
  if (tag !== undefined) return { kind: 'tag', bytes: tag }
  return startOfRun(view, 0, view.length === left) || isOnlyFrame(view, 0, left) ? { kind: 'frames' } : { kind: 'gap' }
}

function passOther(file: ForwardBytes, offset: number, piece: OtherPiece, walk: Walk): Promise<number> {
  return piece.kind === 'tag' ? passTag(file, offset, piece.bytes, walk) : passGap(file, offset, walk)
}

/** Called when audio follows a gap: the gap after all audio so far is now a gap inside the audio. */
function closeGap(walk: Walk): void {
  if (!walk.behind) return
  walk.inside.gaps += 1
  walk.inside.bytes += walk.behind.bytes
  walk.inside.junk += walk.behind.junk
  delete walk.behind
}

/**
 * Skips a tag. Players skip an ID3v2 tag before the audio by its size, even if the size is wrong. For any other tag that contains
 * audio, the size is too large, so the audio in it is read.
 * @returns the offset at which audio starts in the tag, or the end of the tag
 */
async function passTag(file: ForwardBytes, start: number, bytes: number, walk: Walk): Promise<number> {
  const isId3v2 = id3v2BytesAt(await file.view(start), 0) !== undefined
  const end = start + bytes
  const audio = await findAudioBetween(file, start, end)
  const isSkipped = audio === undefined || (isId3v2 && walk.parts.length === 0)
  if (!isSkipped) {
    noteGap(walk, { bytes: audio - start, junk: audio - start, text: new TextCheck(), isTag: true, hasContainer: false })
    return audio
  }
  walk.hasAudioInTag ||= audio !== undefined
  if (isId3v2) await checkTagEnd(file, end, walk)
  return end
}

async function findAudioBetween(file: ForwardBytes, start: number, end: number): Promise<number | undefined> {
  for (let offset = start; offset < end;) {
    const view = await file.view(offset, Math.min(VIEW_BYTES, end - offset + LOOKAHEAD_BYTES))
    const isEnd = offset + view.length >= file.size
    const limit = Math.min(end - offset, isEnd ? view.length : view.length - LOOKAHEAD_BYTES)
    const { at, isFound } = findAudio(view, offset === start ? 1 : 0, limit, isEnd)
    offset += at
    if (isFound) return offset
  }
  return undefined
}

/** If nothing that is known starts at the end of the tag, its size is wrong: it may end in the middle of a frame. */
async function checkTagEnd(file: ForwardBytes, end: number, walk: Walk): Promise<void> {
  if (end >= file.size) return
  const view = await file.view(end)
  const isKnown = view[0] === ZERO || isWave(view, 0) || startsLikeTag(view) || startOfRun(view, 0, end + view.length >= file.size)
  walk.hasWrongTag ||= !isKnown
}

/** @returns the offset at which audio starts again, or the end of the file */
async function passGap(file: ForwardBytes, start: number, walk: Walk): Promise<number> {
  const gap: Gap = { bytes: 0, junk: 0, text: new TextCheck(), isTag: false, hasContainer: false }
  let offset = start
  let isOfTag = false
  for (;;) {
    const view = await file.view(offset)
    if (offset === start) {
      gap.isTag = startsLikeTag(view)
      isOfTag = gap.isTag || (walk.parts.at(-1)?.kind === 'wav' && startsLikeChunk(view))
    }
    const isEnd = offset + view.length >= file.size
    const limit = isEnd ? view.length : view.length - LOOKAHEAD_BYTES
    const { at, isFound } = findAudio(view, offset === start ? 1 : 0, limit, isEnd)
    const passed = view.subarray(0, at)
    gap.text.add(passed)
    // The whole view is checked if no audio was found in it: a message may continue beyond `at`.
    const piece = isFound ? passed : view
    walk.hasMessage ||= walk.parts.length > 0 && !isOfTag && holdsMessage(piece)
    gap.isTag ||= passed.includes('APETAGEX')
    gap.hasContainer ||= CONTAINER_MARKS.some((mark) => passed.includes(mark, 0, 'latin1'))
    gap.bytes += at
    gap.junk += countJunk(passed)
    offset += at
    if (isFound || isEnd) break
  }
  walk.hasMessage ||= walk.parts.length > 0 && !isOfTag && gap.bytes >= MIN_TEXT_BYTES && gap.text.kind() !== undefined
  noteGap(walk, gap)
  return offset
}

function noteGap(walk: Walk, gap: Gap): void {
  if (walk.parts.length === 0) walk.before = gap
  else walk.behind = gap
}

function countJunk(bytes: Buffer): number {
  let junk = 0
  for (const byte of bytes) if (byte !== ZERO) junk += 1
  return junk
}

/** Returns the first offset before `limit` at which frames or a WAV start, or else `limit`. */
function findAudio(view: Buffer, from: number, limit: number, isEnd: boolean): { at: number; isFound: boolean } {
  let frames = view.indexOf(0xff, from)
  while (frames !== -1 && frames < limit && !startOfRun(view, frames, isEnd)) frames = view.indexOf(0xff, frames + 1)
  const isFound = frames !== -1 && frames < limit
  const wave = findWave(view, from, isFound ? frames : limit)
  return { at: wave ?? (isFound ? frames : limit), isFound: isFound || wave !== undefined }
}

function findWave(view: Buffer, from: number, limit: number): number | undefined {
  const before = view.subarray(0, limit + WAVE_OFFSET + 3)
  for (let at = before.indexOf('WAVE', from + WAVE_OFFSET); at !== -1; at = before.indexOf('WAVE', at + 1)) {
    if (isWave(before, at - WAVE_OFFSET)) return at - WAVE_OFFSET
  }
  return undefined
}
