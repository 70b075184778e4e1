// Walks an MP3 frame by frame: nothing else tells whether it is whole and how long it is, whatever its headers say.
import type { FileWindow } from './file-window.ts'
import type { Finding } from './finding.ts'
import { FRAME_HEADER_BYTES, readFrameHeader, type Mp3Frame } from './mp3-frame.ts'

/** Random bytes look like one frame now and then, hardly ever like three in a row. */
const FRAMES_TO_BELIEVE = 3
/** How far into a file, or past a damaged spot, we look for the next frames. */
const SEARCH_BYTES = 64 * 1024
const ID3V1_BYTES = 128
/** Encoders announce one frame more or less than they write. */
const FRAME_COUNT_TOLERANCE = 2

/** Undefined where the file holds no MP3 frames. */
export async function inspectMp3(file: FileWindow): Promise<Finding | undefined> {
  const end = await endOfAudio(file)
  let offset = await findFrames(file, await startOfAudio(file), end)
  if (offset === undefined) return undefined
  const first = (await frameAt(file, offset))!
  const announced = await announcedFrames(file, offset, first)
  if (announced !== undefined) offset += first.bytes // a frame that only holds the count

  let frames = 0
  let samples = 0
  let strayBytes = 0
  let cut = false
  while (offset < end) {
    const frame = await frameAt(file, offset)
    if (!frame) {
      const next = await findFrames(file, offset, end)
      strayBytes += (next ?? end) - offset
      if (next === undefined) break
      offset = next
      continue
    }
    if (offset + frame.bytes > end) {
      cut = true
      break
    }
    frames += 1
    samples += frame.samples
    offset += frame.bytes
  }
  const audio = {
    contentType: 'audio/mpeg',
    extension: 'mp3',
    codec: 'mp3',
    sampleRate: first.sampleRate,
    channels: first.channels,
    durationSeconds: samples / first.sampleRate,
  }
  if (frames === 0) return { kind: 'none', reason: 'The MP3 has a header but no audio frames' }
  if (announced !== undefined && frames < announced - FRAME_COUNT_TOLERANCE) {
    return { kind: 'damaged', audio, reason: `The MP3 is cut off: it announces ${announced} frames and has ${frames}` }
  }
  if (cut) return { kind: 'damaged', audio, reason: `The MP3 is cut off in the middle of frame ${frames + 1}` }
  if (strayBytes > SEARCH_BYTES)
    return { kind: 'damaged', audio, reason: `The MP3 has ${strayBytes} bytes between its frames that are no audio` }
  return strayBytes > 0 ? { kind: 'good', audio, remark: `${strayBytes} bytes in the MP3 are no audio` } : { kind: 'good', audio }
}

/** Behind any ID3v2 tags. Their size is four bytes of seven bits [id3.org, ID3v2.4 §3.1]. */
async function startOfAudio(file: FileWindow): Promise<number> {
  let offset = 0
  for (;;) {
    const header = await file.bytes(offset, 10)
    if (header.length < 10 || header.toString('latin1', 0, 3) !== 'ID3') return offset
    const size = (header[6]! << 21) | (header[7]! << 14) | (header[8]! << 7) | header[9]!
    const footer = (header[5]! & 0x10) === 0 ? 0 : 10
    offset += 10 + size + footer
  }
}

/** Before an ID3v1 tag and an APE tag, where there are any. */
async function endOfAudio(file: FileWindow): Promise<number> {
  let end = file.size
  if (end >= ID3V1_BYTES && (await file.bytes(end - ID3V1_BYTES, 3)).toString('latin1') === 'TAG') end -= ID3V1_BYTES
  const footer = Buffer.from(await file.bytes(Math.max(0, end - 32), 32))
  if (footer.toString('latin1', 0, 8) !== 'APETAGEX') return end
  const hasHeader = (footer.readUInt32LE(20) & 0x80000000) !== 0
  return Math.max(0, end - footer.readUInt32LE(12) - (hasHeader ? 32 : 0))
}

async function frameAt(file: FileWindow, offset: number): Promise<Mp3Frame | undefined> {
  return readFrameHeader(await file.bytes(offset, FRAME_HEADER_BYTES))
}

/** The next place where several frames follow one another, or one that ends with the file. */
async function findFrames(file: FileWindow, from: number, end: number): Promise<number | undefined> {
  for (let offset = from; offset < Math.min(end, from + SEARCH_BYTES); offset += 1) {
    if (await framesFollow(file, offset, end)) return offset
  }
  return undefined
}

async function framesFollow(file: FileWindow, from: number, end: number): Promise<boolean> {
  const first = await frameAt(file, from)
  if (!first) return false
  let offset = from + first.bytes
  for (let seen = 1; seen < FRAMES_TO_BELIEVE; seen += 1) {
    if (offset >= end) return offset === end
    const next = await frameAt(file, offset)
    if (!next || next.sampleRate !== first.sampleRate) return false
    offset += next.bytes
  }
  return true
}

/** The count in a Xing, Info or VBRI header; undefined where the first frame is plain audio; 0 where none is given. */
async function announcedFrames(file: FileWindow, offset: number, first: Mp3Frame): Promise<number | undefined> {
  const frame = await file.bytes(offset, first.bytes)
  const xing = frame.toString('latin1', first.sideInfoEnd, first.sideInfoEnd + 4)
  if ((xing === 'Xing' || xing === 'Info') && frame.length >= first.sideInfoEnd + 12) {
    const hasCount = (frame.readUInt32BE(first.sideInfoEnd + 4) & 1) === 1
    return hasCount ? frame.readUInt32BE(first.sideInfoEnd + 8) : 0
  }
  const vbri = FRAME_HEADER_BYTES + 32
  if (frame.toString('latin1', vbri, vbri + 4) === 'VBRI' && frame.length >= vbri + 18) return frame.readUInt32BE(vbri + 14)
  return undefined
}
