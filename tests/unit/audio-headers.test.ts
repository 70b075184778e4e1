// The headers of WAV and MP3: how each field is read, and which values are not accepted.
import { describe, expect, test } from '@jest/globals'
import { readFrame, type MpegFrame } from '../../recordings/audio/mpeg-frame.ts'
import { readInfo } from '../../recordings/audio/mpeg-info.ts'
import { readWavFormat } from '../../recordings/audio/wav-format.ts'
import { join, uint32be, zeros } from '../corpus/bytes.ts'

function format({ tag = 1, channels = 1, sampleRate = 8000, bits = 16, inner = 1, bytes = 16 } = {}): Buffer {
  const buffer = Buffer.alloc(40)
  buffer.writeUInt16LE(tag, 0)
  buffer.writeUInt16LE(channels, 2)
  buffer.writeUInt32LE(sampleRate, 4)
  buffer.writeUInt16LE(bits, 14)
  buffer.writeUInt16LE(inner, 24)
  return buffer.subarray(0, bytes)
}

describe('When the format of a WAV is supported, then it is accepted:', () => {
  test.each([
    [{}, { codec: 'pcm16', channels: 1, sampleRate: 8000, frameBytes: 2 }],
    [
      { bits: 8, channels: 2 },
      { codec: 'pcm', channels: 2, frameBytes: 2 },
    ],
    [
      { bits: 24, channels: 2 },
      { codec: 'pcm24', frameBytes: 6 },
    ],
    [
      { tag: 6, bits: 8 },
      { codec: 'alaw', frameBytes: 1 },
    ],
    [
      { tag: 7, bits: 8 },
      { codec: 'ulaw', frameBytes: 1 },
    ],
    [{ sampleRate: 4000 }, { sampleRate: 4000 }],
    [{ sampleRate: 192_000 }, { sampleRate: 192_000 }],
    [{ tag: 0xfffe, inner: 6, bits: 8, bytes: 26 }, { codec: 'alaw' }],
    [{ tag: 0xfffe, inner: 1, bytes: 40 }, { codec: 'pcm16' }],
  ])('%j', (fields, expected) => {
    expect(readWavFormat(format(fields))).toMatchObject({ kind: 'accepted', ...expected })
  })
})

describe('When the format of a WAV is not accepted, then the reason says why:', () => {
  test.each([
    [{ bytes: 15 }, 'The WAV has no complete description of its format'],
    [{ bytes: 0 }, 'The WAV has no complete description of its format'],
    [{ tag: 3, bits: 32 }, "The WAV's codec is not accepted: format 0x3 with 32 bits per sample"],
    [{ bits: 12 }, "The WAV's codec is not accepted: format 0x1 with 12 bits per sample"],
    [{ tag: 6, bits: 16 }, "The WAV's codec is not accepted: format 0x6 with 16 bits per sample"],
    [{ tag: 0xfffe, inner: 1, bytes: 25 }, "The WAV's codec is not accepted: format 0xfffe with 16 bits per sample"],
    [{ tag: 2, inner: 1, bytes: 40 }, "The WAV's codec is not accepted: format 0x2 with 16 bits per sample"],
    [{ channels: 0 }, 'The WAV has 0 channels'],
    [{ channels: 3 }, 'The WAV has 3 channels'],
    [{ sampleRate: 3999 }, "The WAV's sample rate is 3999 Hz"],
    [{ sampleRate: 192_001 }, "The WAV's sample rate is 192001 Hz"],
  ])('%j', (fields, why) => {
    expect(readWavFormat(format(fields))).toEqual({ kind: 'not accepted', why })
  })
})

const VERSION = { 1: 3, 2: 2, 2.5: 0 } as const
interface FrameFields {
  version?: keyof typeof VERSION
  layer?: 1 | 2 | 3
  rate?: number
  kbps?: number
  padding?: 0 | 1
  mode?: number
}
/** `kbps` and `rate` are the indices in the header. */
function header({ version = 1, layer = 3, rate = 0, kbps = 9, padding = 0, mode = 0 }: FrameFields = {}): Buffer {
  return Buffer.from([0xff, 0xe0 | (VERSION[version] << 3) | ((4 - layer) << 1) | 1, (kbps << 4) | (rate << 2) | (padding << 1), mode << 6])
}
const read = (fields?: FrameFields) => readFrame(join('..', header(fields)), 2)

describe('When the header of a frame is read, then the length of the frame is known:', () => {
  test.each<[FrameFields, Partial<MpegFrame>]>([
    [{}, { bytes: 417, samples: 1152, sampleRate: 44_100, channels: 2, layer: 3, infoOffset: 36 }],
    [{ padding: 1 }, { bytes: 418 }],
    [{ mode: 3 }, { channels: 1, infoOffset: 21 }],
    [{ mode: 1 }, { channels: 2 }],
    [{ rate: 1 }, { sampleRate: 48_000, bytes: 384 }],
    [{ rate: 2 }, { sampleRate: 32_000, bytes: 576 }],
    [{ layer: 2 }, { bytes: 522, samples: 1152, layer: 2 }],
    [{ layer: 1 }, { bytes: 312, samples: 384, layer: 1 }],
    [{ layer: 1, padding: 1 }, { bytes: 316 }],
    [{ version: 2 }, { bytes: 261, samples: 576, sampleRate: 22_050, infoOffset: 21 }],
    [{ version: 2, mode: 3 }, { infoOffset: 13 }],
    [
      { version: 2, layer: 2 },
      { bytes: 522, samples: 1152 },
    ],
    [
      { version: 2, layer: 1 },
      { bytes: 312, samples: 384 },
    ],
    [{ version: 2.5 }, { bytes: 522, sampleRate: 11_025, samples: 576 }],
    [
      { version: 2.5, rate: 2, kbps: 14 },
      { bytes: 1440, sampleRate: 8000 },
    ],
    [{ kbps: 14 }, { bytes: 1044 }],
  ])('%j', (fields, expected) => {
    expect(read(fields)).toMatchObject(expected)
  })

  test.each<[string, Buffer]>([
    ['another first byte', Buffer.from('fefb9000', 'hex')],
    ['no sync in the second byte', Buffer.from('ffdb9000', 'hex')],
    ['a version that does not exist', Buffer.from('ffeb9000', 'hex')],
    ['a layer that does not exist', Buffer.from('fff99000', 'hex')],
    ['a sample rate that does not exist', Buffer.from('fffb9c00', 'hex')],
    ['a bit rate that does not exist', Buffer.from('fffbf000', 'hex')],
    ['three bytes', Buffer.from('fffb90', 'hex')],
  ])('but there is no frame with %s', (_what, bytes) => {
    expect(readFrame(bytes, 0)).toBeUndefined()
  })

  test('and frames with another bit rate, padding or mode have the same format', () => {
    const one = read()!.format
    for (const fields of [{ kbps: 5 }, { padding: 1 as const }, { mode: 3 }]) expect(read(fields)!.format).toBe(one)
    const others = ([{ version: 2 }, { version: 2.5 }, { layer: 2 }, { layer: 1 }, { rate: 1 }, { rate: 2 }] as const).map(
      (fields) => read(fields)!.format,
    )
    expect(new Set([one, ...others]).size).toBe(7)
  })
})

describe('When a frame is in free format, then its length is the distance to the next frames:', () => {
  const free = (bytes: number, fields: FrameFields = {}) => join(header({ kbps: 0, ...fields }), zeros(bytes - 4))
  test.each<[string, Buffer, object | undefined]>([
    ['three frames', join(free(200), free(200), free(200)), { bytes: 200, freeBytes: 200 }],
    ['two frames at the end of the view', join(free(200), free(200)), { bytes: 200, freeBytes: 200 }],
    ['padding in the first one', join(free(201, { padding: 1 }), free(200), free(200)), { bytes: 201, freeBytes: 200 }],
    ['padding in the second one', join(free(200), free(201, { padding: 1 }), free(200)), { bytes: 200, freeBytes: 200 }],
    [
      'padding of layer 1',
      join(free(204, { layer: 1, padding: 1 }), free(200, { layer: 1 }), free(200, { layer: 1 })),
      { bytes: 204, freeBytes: 200 },
    ],
    ['frames of 24 bytes', join(free(24), free(24), free(24)), { bytes: 24 }],
    ['frames of 6,000 bytes', join(free(6000), free(6000), free(6000)), { bytes: 6000 }],
    ['a header inside that is not followed by another one', join(free(100), free(100, { rate: 1 }), free(200), free(200)), { bytes: 200 }],
    ['frames of 20 bytes', join(free(20), free(20)), undefined],
    ['frames of 6,001 bytes', join(free(6001), free(6001), free(6001)), undefined],
    ['one frame', free(200), undefined],
    ['another bit rate', join(free(200), header(), zeros(196), header()), undefined],
    ['another sample rate', join(free(200), free(200, { rate: 1 }), free(200, { rate: 1 })), undefined],
    ['0xFF only', join(free(200), Buffer.alloc(3000, 0xff)), undefined],
  ])('%s', (_how, view, expected) => {
    if (expected === undefined) expect(readFrame(view, 0)).toBeUndefined()
    else expect(readFrame(view, 0)).toMatchObject(expected)
  })

  test('and a length that is known is used without a search', () => {
    expect(readFrame(free(200), 0, 123)).toMatchObject({ bytes: 123, freeBytes: 123 })
    expect(read()).not.toHaveProperty('freeBytes')
  })

  test('and the search continues after 127 bytes 0xFF, but not after more', () => {
    const withBytes = (count: number) =>
      join(header({ kbps: 0 }), zeros(20), Buffer.alloc(count, 0xff), '.', free(200), free(200).subarray(0, 4))
    const bytes = (count: number) => 25 + count
    expect(readFrame(join(withBytes(127), zeros(bytes(127) - 4)), 0)?.bytes).toBeUndefined()
    expect(
      readFrame(join(header({ kbps: 0 }), zeros(20), Buffer.alloc(127, 0xff), '.', free(bytes(127)), free(bytes(127))), 0),
    ).toMatchObject({ bytes: bytes(127) })
    expect(
      readFrame(join(header({ kbps: 0 }), zeros(20), Buffer.alloc(128, 0xff), '.', free(bytes(128)), free(bytes(128))), 0),
    ).toBeUndefined()
  })
})

describe('When the first frame has information about the others', () => {
  const info = (content: Buffer, { at = 36, fields = {} as FrameFields } = {}) => {
    const frame = read({ kbps: 14, ...fields })!
    const bytes = join('..', header({ kbps: 14, ...fields }), zeros(frame.bytes - 4))
    content.copy(bytes, 2 + at)
    return readInfo(bytes, 2, frame)
  }
  const xing = (flags: number, ...rest: (Buffer | string)[]) => join('Xing', uint32be(flags), ...rest)
  const lame = (delay: number, padding: number, name = 'LAME3.100') =>
    join(name.padEnd(21, '\0'), Buffer.from([delay >> 4, ((delay & 15) << 4) | (padding >> 8), padding & 255]))
  const untrimmed = { trimStart: 0, trimEnd: 0 }

  test('then all fields are read', () => {
    const all = xing(15, uint32be(100), uint32be(50_000), zeros(100), uint32be(80), lame(576, 1000))
    expect(info(all)).toEqual({ frames: 100, bytes: 50_000, trimStart: 576 + 529, trimEnd: 1000 - 529 })
  })

  test.each<[number, Buffer[], object]>([
    [0, [], untrimmed],
    [1, [uint32be(100)], { frames: 100, ...untrimmed }],
    [2, [uint32be(50_000)], { bytes: 50_000, ...untrimmed }],
    [3, [uint32be(0), uint32be(0)], untrimmed],
    [4, [zeros(100), lame(1, 529)], { trimStart: 530, trimEnd: 0 }],
    [8, [uint32be(80), lame(1, 530)], { trimStart: 530, trimEnd: 1 }],
    [0, [lame(0, 0)], { trimStart: 529, trimEnd: 0 }],
    [0, [lame(4095, 4095)], { trimStart: 4095 + 529, trimEnd: 4095 - 529 }],
    [0, [lame(1, 600, 'Lavf')], { trimStart: 530, trimEnd: 71 }],
    [0, [lame(1, 600, 'Lavc58')], { trimStart: 530, trimEnd: 71 }],
    [0, [lame(1, 600, 'GOGO')], untrimmed],
    [0, [lame(1, 600, ' LAME')], untrimmed],
  ])('then fields without a flag are absent: flags %d', (flags, rest, expected) => {
    expect(info(xing(flags, ...rest))).toEqual(expected)
  })

  test('then its mark may be Info, and may follow a CRC or shorter side information', () => {
    expect(info(join('Info', uint32be(1), uint32be(7)))).toMatchObject({ frames: 7 })
    expect(info(xing(1, uint32be(7)), { at: 38 })).toMatchObject({ frames: 7 })
    expect(info(xing(1, uint32be(7)), { at: 21, fields: { mode: 3 } })).toMatchObject({ frames: 7 })
    expect(info(xing(1, uint32be(7)), { at: 37 })).toBeUndefined()
    expect(info(join('Xinx', uint32be(1), uint32be(7)))).toBeUndefined()
  })

  test('then VBRI is read at its own offset', () => {
    const vbri = join('VBRI', zeros(6), uint32be(50_000), uint32be(100))
    expect(info(vbri)).toEqual({ bytes: 50_000, frames: 100, ...untrimmed })
    expect(info(vbri, { fields: { version: 2, mode: 3 } })).toEqual({ bytes: 50_000, frames: 100, ...untrimmed })
    expect(info(vbri, { at: 35 })).toBeUndefined()
    expect(info(join('VBRX', zeros(6), uint32be(50_000), uint32be(100)))).toBeUndefined()
  })

  test('then fields that do not fit the frame are absent', () => {
    const cut = (content: Buffer, bytes: number) => readInfo(join(header(), zeros(32), content).subarray(0, 36 + bytes), 0, read()!)
    expect(cut(xing(1, uint32be(7)), 7)).toBeUndefined()
    expect(cut(xing(1, uint32be(7)), 8)).toEqual(untrimmed)
    expect(cut(xing(1, uint32be(7)), 11)).toEqual(untrimmed)
    expect(cut(xing(1, uint32be(7)), 12)).toEqual({ frames: 7, ...untrimmed })
    expect(cut(xing(0, lame(1, 600)), 31)).toEqual(untrimmed)
    expect(cut(xing(0, lame(1, 600)), 32)).toEqual({ trimStart: 530, trimEnd: 71 })
    const vbri = join('VBRI', zeros(6), uint32be(50_000), uint32be(100))
    expect(cut(vbri, 17)).toBeUndefined()
    expect(cut(vbri, 18)).toMatchObject({ frames: 100 })
  })
})
