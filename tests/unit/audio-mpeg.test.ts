// Consecutive frames of MPEG audio: where they start and end, which of them are one part, and which are cut.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { ForwardFile, VIEW_BYTES } from '../../recordings/audio/forward-file.ts'
import { isOnlyFrame, MAX_PARTS, MpegReader, startOfRun, type AudioPart } from '../../recordings/audio/mpeg.ts'
import { id3v1, join, repeat, uint32be, zeros } from '../corpus/bytes.ts'

/** MPEG-1 layer 3, stereo, 128 kbit/s at 44.1 kHz. */
const FRAME = framed('fffb9000', 417)
const OTHER_RATE = framed('fffb9400', 384)
const FREE = framed('fffb0000', 200)
/** Three frames of MPEG-2 with 72 bytes in total: they fit into FRAME. */
const SMALL_RUN = repeat(framed('fff31400', 24), 3)
const WITH_RUN_INSIDE = join(FRAME.subarray(0, 100), SMALL_RUN, FRAME.subarray(172))
const HALF = FRAME.subarray(0, 200)

/** A header, and zeros up to the length of the frame. */
function framed(header: string, bytes: number): Buffer {
  return join(Buffer.from(header, 'hex'), zeros(bytes - 4))
}

/** A frame without audio that announces the number of frames that follow. */
function xing(frames: number): Buffer {
  return join(FRAME.subarray(0, 36), 'Xing', uint32be(1), uint32be(frames), FRAME.subarray(48))
}

describe('When bytes are checked for the start of consecutive frames, then they are found', () => {
  test.each<[string, Buffer]>([
    ['with three frames', repeat(FRAME, 3)],
    ['with three frames and any other bytes after them', join(repeat(FRAME, 3), 'junk')],
    ['with three frames in free format', repeat(FREE, 3)],
  ])('%s', (_what, bytes) => {
    expect(startOfRun(join('..', bytes), 2, false)).toMatchObject({ sampleRate: 44_100 })
    expect(startOfRun(join('..', bytes), 2, true)).toMatchObject({ sampleRate: 44_100 })
  })

  test.each<[string, Buffer]>([
    ['two frames', repeat(FRAME, 2)],
    ['two frames and a tag', join(FRAME, FRAME, id3v1())],
  ])('with %s at the end of the file, not at the end of a view', (_what, bytes) => {
    expect(startOfRun(join('..', bytes), 2, true)).toMatchObject({ sampleRate: 44_100 })
    expect(startOfRun(join('..', bytes), 2, false)).toBeUndefined()
  })

  test.each<[string, Buffer]>([
    ['one frame', FRAME],
    ['one frame and a tag', join(FRAME, id3v1())],
    ['two frames and junk', join(FRAME, FRAME, 'junk')],
    ['a frame of another format between two', join(FRAME, OTHER_RATE, FRAME)],
    ['junk', zeros(1000)],
  ])('not with %s', (_what, bytes) => {
    expect(startOfRun(join('..', bytes), 2, true)).toBeUndefined()
  })
})

test.each<[string, boolean, Buffer]>([
  ['a frame', true, FRAME],
  ['a frame and a tag', true, join(FRAME, id3v1())],
  ['a frame and junk', false, join(FRAME, 'junk')],
  ['a frame that is cut', false, HALF],
  ['a tag', false, id3v1()],
])('When the rest of a file is %s, then it is recognized as one frame: %s', (_what, is, bytes) => {
  expect(isOnlyFrame(join('..', bytes), 2, bytes.length)).toBe(is)
})

describe('When frames are read', () => {
  let folder: string
  let path: string
  beforeAll(() => {
    folder = mkdtempSync(joinPath(tmpdir(), 'mpeg-'))
    path = joinPath(folder, 'file')
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  /** Reads frames at each offset in `starts`. Returns the parts and the offset at which the last read ended. */
  async function read(bytes: Buffer, ...starts: number[]): Promise<{ parts: AudioPart[]; end: number }> {
    writeFileSync(path, bytes)
    const file = await ForwardFile.open(path)
    const parts: AudioPart[] = []
    const reader = new MpegReader(file, parts)
    let end = 0
    for (const start of starts.length > 0 ? starts : [0]) end = await reader.read(start)
    await file.close()
    return { parts, end }
  }

  test('then they are counted to the end of the file', async () => {
    const { parts, end } = await read(join('12345', repeat(FRAME, 10)), 5)
    expect(end).toBe(5 + 10 * FRAME.length)
    expect(parts).toMatchObject([
      { kind: 'mpeg', start: 5, end, first: { bytes: 417 }, frames: 10, isCut: false, endsWithText: false, changesFormat: false },
    ])
    expect((parts[0] as { seconds: number }).seconds).toBeCloseTo((10 * 1152) / 44_100, 10)
    expect(parts[0]).not.toHaveProperty('info')
  })

  test('then they may be longer than a view', async () => {
    const frames = Math.ceil((2.5 * VIEW_BYTES) / FRAME.length)
    const { parts, end } = await read(repeat(FRAME, frames))
    expect(end).toBe(frames * FRAME.length)
    expect(parts).toMatchObject([{ start: 0, end, frames, isCut: false }])
  })

  test('then they end at other bytes, and the frames after these bytes are in the same part', async () => {
    const bytes = join(repeat(FRAME, 4), 'something else', repeat(FRAME, 3))
    expect(await read(bytes)).toMatchObject({ end: 4 * 417, parts: [{ frames: 4, isCut: false }] })
    expect(await read(bytes, 0, 4 * 417 + 14)).toMatchObject({ end: bytes.length, parts: [{ start: 0, end: bytes.length, frames: 7 }] })
  })

  test('then they end at other bytes, also if these are longer than a view', async () => {
    expect(await read(join(repeat(FRAME, 4), zeros(3 * VIEW_BYTES)))).toMatchObject({ end: 4 * 417, parts: [{ frames: 4 }] })
  })

  test('then they are not added to a WAV before them', async () => {
    writeFileSync(path, repeat(FRAME, 3))
    const file = await ForwardFile.open(path)
    const parts: AudioPart[] = [{ kind: 'wav', end: 0, frames: 1, remarks: [] }]
    await new MpegReader(file, parts).read(0)
    await file.close()
    expect(parts).toMatchObject([
      { kind: 'wav', frames: 1 },
      { kind: 'mpeg', frames: 3 },
    ])
  })

  test('then the last one is cut if the file ends in it', async () => {
    const bytes = join(repeat(FRAME, 3), HALF)
    expect(await read(bytes)).toMatchObject({ end: bytes.length, parts: [{ end: 3 * 417, frames: 3, isCut: true }] })
  })

  test('then a file with only a cut frame has no part', async () => {
    expect(await read(HALF)).toEqual({ end: HALF.length, parts: [] })
  })

  test('then the last one is cut if a tag starts in it', async () => {
    expect(await read(join(repeat(FRAME, 3), HALF, id3v1()))).toMatchObject({ end: 3 * 417 + 200, parts: [{ frames: 3, isCut: true }] })
    expect(await read(join(repeat(FRAME, 3), id3v1()))).toMatchObject({ end: 3 * 417, parts: [{ frames: 3, isCut: false }] })
    const otherwise = join(HALF, 'TAX', zeros(125))
    expect(await read(join(repeat(FRAME, 3), otherwise))).toMatchObject({ end: 3 * 417 + 328, parts: [{ frames: 3, isCut: true }] })
  })

  test.each([
    ['ff', true],
    ['fffb', true],
    ['fffb90', true],
    ['78', false],
    ['78fb', false],
    ['fff3', false],
    ['fff390', false],
    ['fffbf000', false],
  ])('then the bytes %s at the end are recognized as the start of another frame: %s', async (rest, isCut) => {
    const bytes = join(repeat(FRAME, 3), Buffer.from(rest, 'hex'))
    expect(await read(bytes)).toMatchObject({ end: isCut ? bytes.length : 3 * 417, parts: [{ frames: 3, isCut }] })
  })

  test('then a message in the last one is recognized', async () => {
    const html = '<html><body>Internal Server Error</body></html>'
    const last = join(FRAME.subarray(0, FRAME.length - html.length), html)
    expect(await read(join(repeat(FRAME, 3), last))).toMatchObject({ parts: [{ frames: 4, endsWithText: true }] })
    expect(await read(join(repeat(FRAME, 2), last, FRAME))).toMatchObject({ parts: [{ frames: 4, endsWithText: false }] })
  })

  test('then each frame that announces others starts a part, and is not counted', async () => {
    const bytes = join(xing(2), FRAME, FRAME, xing(3), repeat(FRAME, 3))
    expect(await read(bytes)).toMatchObject({
      end: bytes.length,
      parts: [
        { start: 0, end: 3 * 417, frames: 2, info: { frames: 2 } },
        { start: 3 * 417, end: 7 * 417, frames: 3, info: { frames: 3 } },
      ],
    })
  })

  test('then there is at most one part more than the limit', async () => {
    const { parts, end } = await read(repeat(xing(1), MAX_PARTS + 10))
    expect(parts).toHaveLength(MAX_PARTS + 1)
    expect(end).toBe((MAX_PARTS + 10) * FRAME.length)
  })

  test('then consecutive frames inside a frame mean that it is cut, and start a new part', async () => {
    const half = join(HALF.subarray(0, 100), Buffer.from('ff00', 'hex'), HALF.subarray(102))
    const bytes = join(repeat(FRAME, 3), half, repeat(FRAME, 4))
    expect(await read(bytes)).toMatchObject({
      end: bytes.length,
      parts: [
        { frames: 3, end: 3 * 417, isCut: true },
        { frames: 4, start: 3 * 417 + 200, isCut: false },
      ],
    })
    expect(await read(join(HALF, repeat(FRAME, 4)))).toMatchObject({ parts: [{ frames: 4, start: 200, isCut: false }] })
  })

  test.each<[string, Buffer]>([
    ['another frame', FRAME],
    ['the end of the file', zeros(0)],
    ['a tag', id3v1()],
  ])('then bytes inside a frame that look like frames are ignored if it is followed by %s', async (_what, following) => {
    const { parts } = await read(join(repeat(FRAME, 3), WITH_RUN_INSIDE, following))
    expect(parts).toMatchObject([{ frames: following === FRAME ? 5 : 4, isCut: false, changesFormat: false }])
  })

  test('then one frame of another format ends them, and three continue them', async () => {
    expect(await read(join(repeat(FRAME, 3), OTHER_RATE))).toMatchObject({ end: 3 * 417, parts: [{ frames: 3, changesFormat: false }] })
    expect(await read(join(repeat(FRAME, 3), repeat(OTHER_RATE, 3)))).toMatchObject({ parts: [{ frames: 6, changesFormat: true }] })
    const mono = framed('fffb90c0', 417)
    expect(await read(join(repeat(FRAME, 3), repeat(mono, 3)))).toMatchObject({ parts: [{ frames: 6, changesFormat: true }] })
  })

  test.each<[string, number, string | Buffer]>([
    ['no bytes', 5, ''],
    ['three bytes', 5, 'xxx'],
    ['four bytes', 4, 'xxxx'],
    ['a tag', 5, id3v1()],
  ])('then in free format, with %s after 5 frames, the number of frames is %d', async (_what, frames, following) => {
    expect(await read(join(repeat(FREE, 5), following))).toMatchObject({ end: frames * 200, parts: [{ frames, isCut: false }] })
  })
})
