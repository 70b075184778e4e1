// MP3s with zeros, junk and tags before and after the audio, and MP3s whose headers announce wrong numbers.
import { ape, id3Text, id3v1, id3v2, join, junk, lyrics3, patched, repeat, uint32be, zeros } from './bytes.ts'
import type { Recipe } from './recipe.ts'

export function surrounded(base: (name: string) => Buffer): Recipe[] {
  const plain = base('mono-8000.mp3')
  const names = ['mono-8000.mp3', 'stereo-44100.mp3', 'free-32000.mp3', 'lame-info.mp3']
  return [
    ...names.flatMap((name) => around(name, base(name))),
    ...short(plain),
    ...sizes(plain),
    ...ends(plain),
    ...counts(base('lame-info.mp3'), plain),
  ]
}

function complete(name: string, file: Buffer, decoded?: Buffer): Recipe {
  return { name, truth: 'complete', file, ...(decoded && { decoded: [decoded] }) }
}

function around(name: string, file: Buffer): Recipe[] {
  const before: [string, Buffer][] = [
    ['1 zero', zeros(1)],
    ['4,096 zeros', zeros(4096)],
    ['65,536 zeros', zeros(65_536)],
    ['70,000 zeros', zeros(70_000)],
    ['3 bytes of junk', Buffer.from([0x13, 0x37, 0xff])],
    ['70,000 bytes of junk', junk(70_000)],
    ['400,000 bytes of junk', junk(400_000)],
    ['a beginning of a frame', Buffer.from([0xff, 0xfb, 0x90, 0])],
    ['an ID3v2 tag', id3v2(id3Text(300))],
    ['an ID3v2 tag of 100 kB with junk', id3v2(junk(100_000, name))],
  ]
  return [
    ...before.map(([what, bytes]) => complete(`${name} behind ${what}`, join(bytes, file), file)),
    complete(`${name} before 5,000 zeros`, join(file, zeros(5000)), file),
    complete(`${name} before 70,000 zeros`, join(file, zeros(70_000)), file),
    complete(`${name} before 3,000 bytes of junk`, join(file, junk(3000)), file),
    complete(`${name} before an ID3v1 tag`, join(file, id3v1()), file),
  ]
}

/** MP3s of two or three frames. */
function short(file: Buffer): Recipe[] {
  const [two, three] = [file.subarray(0, 2 * FRAME_BYTES), file.subarray(0, 3 * FRAME_BYTES)]
  const cover = id3v2(join('APIC', uint32be(30_000), zeros(2), junk(30_000, 'cover')))
  return [
    complete('an MP3 of two frames', two),
    complete('an MP3 of three frames', three),
    complete('an MP3 of two frames between tags', join(id3v2(id3Text(300)), two, ape(), id3v1())),
    complete('an MP3 of three frames behind a cover', join(cover, three)),
    complete('an MP3 of three frames between zeros', join(zeros(5000), three, zeros(5000)), three),
    complete('an MP3 of three frames before half an ID3v1 tag', join(three, id3v1().subarray(0, 60)), three),
    complete('an MP3 of three frames before 500 bytes of junk', join(three, junk(500)), three),
  ]
}

/** Tags before the audio with correct or wrong sizes. If a wrong size fits the file, decoders skip and do not play the audio in it. */
function sizes(file: Buffer): Recipe[] {
  const text = id3Text(200)
  const tags: [string, Buffer][] = [
    ['two ID3v2 tags', join(id3v2(text), id3v2(text))],
    ['an ID3v2 tag that claims 0 bytes', id3v2(text, { claimed: 0 })],
    ['an ID3v2 tag that claims 50 bytes too few', id3v2(text, { claimed: 150 })],
    ['an ID3v2 tag that claims 1 byte too few', id3v2(text, { claimed: 199 })],
    ['an ID3v2 tag that claims 256 MB', id3v2(text, { claimed: 0xfffffff })],
    ['an ID3v2 tag that claims 1 MB', id3v2(text, { claimed: 1_000_000 })],
    ['an ID3v2 tag with a footer', join(id3v2(text, { flags: 0x10 }), '3DI\x04\0\x10\0\0\x01\x48')],
    ['an ID3v2 tag and zeros', join(id3v2(text), zeros(1000))],
    ['an APE tag', ape()],
    ['an APE tag that claims 10 MB', ape({ claimed: 10_000_000 })],
    ['10,000 ID3v2 tags', repeat(id3v2(zeros(5)), 10_000)],
  ]
  const lyrics: [string, Buffer][] = [
    ['between the marks of lyrics', join('LYRICSBEGIN', file, 'LYRICS200')],
    ['between lyrics', join(lyrics3(), file, lyrics3())],
    ['behind a beginning of lyrics', join('LYRICSBEGIN', file)],
    ['before lyrics without a beginning', join(file, 'LYR00015Thank you, bye.000026LYRICS200')],
    ['behind an APE tag that claims 5,000 bytes', join(ape({ claimed: 5000 }), file)],
    ['behind an APE tag of 600 kB that claims 605 kB', join(ape({ claimed: 605_000 }).subarray(0, 32), junk(600_000), file)],
    ['behind an APE tag that claims the file', join(ape({ claimed: ape().length + file.length - 32 }), file)],
  ]
  const hidden = id3v2(text, { claimed: 200 + 288 * 5 })
  return [
    ...tags.map(([what, tag]) => complete(`plain MP3 behind ${what}`, join(tag, file), file)),
    ...lyrics.map(([what, bytes]) => complete(`plain MP3 ${what}`, bytes, file)),
    complete('plain MP3 behind an ID3v2 tag that claims five frames', join(hidden, file)),
  ]
}

function ends(file: Buffer): Recipe[] {
  const tags: [string, Buffer][] = [
    ['an APE tag', ape()],
    ['an APE tag and an ID3v1 tag', join(ape(), id3v1())],
    ['an APE tag without header', ape({ header: false })],
    ['an APE tag that claims 10 MB', ape({ claimed: 10_000_000 })],
    ['an APE tag without header that claims 10 MB', ape({ claimed: 10_000_000, header: false })],
    ['an APE tag that claims 0 bytes', ape({ claimed: 0 })],
    ['an APE tag that claims 10 bytes too many', join(ape({ claimed: 62 }))],
    ['an APE footer that claims 142 bytes of audio', ape({ claimed: 142, header: false }).subarray(-32)],
    ['Lyrics3 and ID3v1', join(lyrics3(), id3v1())],
    ['Lyrics3 with a wrong size', join(lyrics3().subarray(0, -15), '999999LYRICS200', id3v1())],
    ['half an ID3v1 tag', id3v1().subarray(0, 60)],
    ['an extended ID3v1 tag', join('TAG+', zeros(223), id3v1())],
    ['two ID3v1 tags', join(id3v1(), id3v1())],
    ['an ID3v2 tag', id3v2(id3Text(200))],
    ['an ID3v2 tag that claims 1 MB', id3v2(id3Text(200), { claimed: 1_000_000 })],
    ['10,000 APE tags', repeat(ape(), 10_000)],
    ['an end of line', Buffer.from('\r\n')],
  ]
  return tags.map(([what, tag]) => complete(`plain MP3 before ${what}`, join(file, tag), file))
}

/** Headers that announce a number of frames. */
function counts(info: Buffer, plain: Buffer): Recipe[] {
  const start = info.indexOf('Info')
  const frames = info.readUInt32BE(start + 8)
  const withCount = (count: number): Buffer => patched(info, start + 8, uint32be(count))
  return [
    complete('Info that announces ten times the frames and the right bytes', withCount(frames * 10), info),
    complete('Info that announces too few frames', withCount(3), info),
    complete('Info that announces no frames', withCount(0), info),
    complete('VBRI', join(vbri(plain, plain.length / FRAME_BYTES), plain), plain),
    complete('VBRI that announces too few frames', join(vbri(plain, 2), plain), plain),
    { name: 'VBRI that announces twice the frames', truth: 'truncated', file: join(vbri(plain, 60, 40_000), plain), decoded: [plain] },
  ]
}

/** The length of a frame at 32 kbit/s and 8 kHz. */
export const FRAME_BYTES = 288

function vbri(plain: Buffer, frames: number, bytes = plain.length + FRAME_BYTES): Buffer {
  const header = join('VBRI', Buffer.from([0, 1, 0, 0, 0, 75]), uint32be(bytes), uint32be(frames))
  return patched(join(plain.subarray(0, 4), zeros(FRAME_BYTES - 4)), 36, header)
}
