// Tags around MPEG audio. A tag counts only if it fits the file.
import { isMark } from './mark.ts'

const ID3V1_BYTES = 128
const ID3V1_EXTENDED_BYTES = 227
const ID3V2_HEADER_BYTES = 10
const APE_HEADER_BYTES = 32
const APE_IS_HEADER = 0x20000000
/** The limit of the search for the end of lyrics. Lyrics3 v1 allows 5,100 bytes. */
const MAX_LYRICS_BYTES = 64 * 1024
const TAG_MARK = /^(TAG|APETAGEX|LYRICS(BEGIN|200|END)|ID3|3DI)/

/**
 * Returns the length of the tag that starts at `at` in the view, or undefined if no tag starts there or the tag does not fit the file.
 * @param left the number of bytes from `at` to the end of the file
 */
export function tagBytesAt(view: Buffer, at: number, left: number): number | undefined {
  const bytes = sizeOf(view, at, left)
  return bytes !== undefined && bytes <= left ? bytes : undefined
}

/** Returns the bytes without the tags at their end. */
export function withoutTags(bytes: Buffer): Buffer {
  let end = bytes.length
  for (let start = startOfLastTag(bytes, end); start < end; start = startOfLastTag(bytes, end)) end = start
  return bytes.subarray(0, end)
}

/** True if the bytes start with the mark of a tag. The size of the tag is not checked. */
export function startsLikeTag(bytes: Buffer): boolean {
  return TAG_MARK.test(bytes.toString('latin1', 0, 11))
}

/** Returns the length that the header of an ID3v2 tag gives, even if the tag does not fit the file. */
export function id3v2BytesAt(view: Buffer, at: number): number | undefined {
  if (!isMark(view, at, 'ID3') || at + ID3V2_HEADER_BYTES > view.length) return undefined
  // Four bytes of seven bits [id3.org, ID3v2.4 §3.1].
  const size = view.subarray(at + 6, at + 10).reduce((sum, byte) => sum * 128 + (byte & 0x7f), 0)
  const footer = (view[at + 5]! & 0x10) === 0 ? 0 : ID3V2_HEADER_BYTES
  return ID3V2_HEADER_BYTES + size + footer
}

function sizeOf(view: Buffer, at: number, left: number): number | undefined {
  switch (view[at]) {
    case 0x49: // I
      return id3v2BytesAt(view, at)
    case 0x54: // T
      if (left === ID3V1_BYTES && isMark(view, at, 'TAG')) return ID3V1_BYTES
      return left === ID3V1_BYTES + ID3V1_EXTENDED_BYTES && isMark(view, at, 'TAG+') ? ID3V1_EXTENDED_BYTES : undefined
    case 0x41: // A
      return apeBytesAt(view, at)
    case 0x4c: // L
      return lyricsBytesAt(view, at)
    default:
      return undefined
  }
}

/** If the tag has a header, its size includes the items and the footer. A footer without items has only its own length. */
function apeBytesAt(view: Buffer, at: number): number | undefined {
  if (!isMark(view, at, 'APETAGEX') || at + APE_HEADER_BYTES > view.length) return undefined
  const isHeader = (view.readUInt32LE(at + 20) & APE_IS_HEADER) !== 0
  if (isHeader) return APE_HEADER_BYTES + view.readUInt32LE(at + 12)
  return view.readUInt32LE(at + 12) === APE_HEADER_BYTES ? APE_HEADER_BYTES : undefined
}

/** Returns the start of the tag that ends at `end`, or `end` if no tag ends there. */
function startOfLastTag(bytes: Buffer, end: number): number {
  const id3v1 = end - ID3V1_BYTES
  const extended = id3v1 - ID3V1_EXTENDED_BYTES
  if (id3v1 >= 0 && isMark(bytes, id3v1, 'TAG')) return extended >= 0 && isMark(bytes, extended, 'TAG+') ? extended : id3v1
  const footer = end - APE_HEADER_BYTES
  if (footer >= 0 && isMark(bytes, footer, 'APETAGEX')) return startOfApe(bytes, footer) ?? end
  if (!isMark(bytes, end - 9, 'LYRICS200') && !isMark(bytes, end - 9, 'LYRICSEND')) return end
  const lyrics = bytes.subarray(Math.max(0, end - MAX_LYRICS_BYTES), end).lastIndexOf('LYRICSBEGIN')
  return lyrics === -1 ? end : Math.max(0, end - MAX_LYRICS_BYTES) + lyrics
}

/** Returns the start of an APE tag by its footer, or undefined if its size does not fit. */
function startOfApe(bytes: Buffer, footer: number): number | undefined {
  const size = bytes.readUInt32LE(footer + 12)
  const start = footer + APE_HEADER_BYTES - size
  if (size < APE_HEADER_BYTES || start < 0) return undefined
  const header = start - APE_HEADER_BYTES
  return header >= 0 && isMark(bytes, header, 'APETAGEX') ? header : start
}

function lyricsBytesAt(view: Buffer, at: number): number | undefined {
  if (!isMark(view, at, 'LYRICSBEGIN')) return undefined
  const text = view.toString('latin1', at, at + MAX_LYRICS_BYTES)
  const end = /LYRICS(200|END)/.exec(text)
  return end ? end.index + end[0].length : undefined
}
