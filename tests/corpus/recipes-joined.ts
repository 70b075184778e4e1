// Concatenated files. The expected duration is the sum of all parts, each decoded alone.
import { ape, id3Text, id3v1, id3v2, join, junk, patched, uint32be, withDataSize, zeros } from './bytes.ts'
import type { Recipe } from './recipe.ts'

/** A copy whose header announces another number of frames, and the bytes of two such files. */
function announcing(info: Buffer, frames: number): Buffer {
  const start = info.indexOf('Info')
  return patched(patched(info, start + 8, uint32be(frames)), start + 12, uint32be(2 * info.length))
}

export function concatenated(base: (name: string) => Buffer): Recipe[] {
  const joined = (...names: string[]): Recipe => ({
    name: names.join(' + '),
    truth: 'complete',
    file: join(...names.map(base)),
    decoded: names.map(base),
  })
  const plain = base('mono-8000.mp3')
  const info = base('lame-info.mp3')
  const wav = base('pcm_s16le.wav')
  return [
    joined('mono-8000.mp3', 'mono-8000.mp3'),
    joined('mono-8000.mp3', 'lame-info.mp3'),
    joined('lame-info.mp3', 'lame-info.mp3'),
    joined('lame-info.mp3', 'lame-vbr.mp3', 'lame-abr.mp3'),
    joined('lame-info.mp3', 'mono-8000.mp3'),
    joined('mono-8000.mp3', 'mono-44100.mp3'),
    joined('mono-44100.mp3', 'mono-8000.mp3'),
    joined('mono-48000.mp3', 'mono-16000.mp3', 'mono-11025.mp3'),
    joined('mono-44100.mp3', 'stereo-44100.mp3'),
    joined('stereo-44100.mp3', 'mono-44100.mp3'),
    joined('info-8000.mp3', 'info-stereo-16000.mp3'),
    joined('free-16000.mp3', 'free-16000.mp3'),
    joined('free-32000.mp3', 'mono-32000.mp3'),
    joined('pcm_s16le.wav', 'pcm_s16le.wav'),
    joined('pcm_alaw.wav', 'pcm-stereo-16000.wav'),
    joined('pcm_s16le.wav', 'mono-8000.mp3'),
    joined('mono-8000.mp3', 'pcm_s16le.wav'),
    ...[60, 61, 62].map((frames) => ({
      name: `MP3s of which the first announces the ${frames} frames of both`,
      truth: 'complete' as const,
      file: join(announcing(info, frames), info),
      decoded: [info, info],
    })),
    {
      name: 'MP3s of which the first announces more frames than both have',
      truth: 'truncated',
      file: join(announcing(info, 63), info),
      decoded: [info, info],
    },
    {
      name: 'MP3s with tags between them',
      truth: 'complete',
      file: join(id3v2(id3Text(90)), plain, id3v1(), id3v2(id3Text(90)), info, id3v1()),
      decoded: [plain, info],
    },
    ...[50, 50 + 5 * 288, 50 + plain.length - 288, 50 + plain.length].map((claimed) => ({
      name: `MP3s with an ID3v2 tag of 50 bytes between them that claims ${claimed}`,
      truth: 'complete' as const,
      file: join(plain, id3v2(id3Text(50), { claimed }), plain),
      decoded: [plain, plain],
    })),
    {
      name: 'MP3s with an APE tag between them that claims 5,000 bytes',
      truth: 'complete',
      file: join(plain, ape({ claimed: 5000 }), plain),
      decoded: [plain, plain],
    },
    {
      name: 'MP3s with a cover of 600 kB between them',
      truth: 'complete',
      file: join(plain, id3v2(junk(600_000)), plain),
      decoded: [plain, plain],
    },
    { name: 'MP3s with zeros between them', truth: 'complete', file: join(plain, zeros(2000), plain), decoded: [plain, plain] },
    { name: 'a truncated MP3 before a complete one', truth: 'truncated', file: join(info.subarray(0, 2001), info) },
    { name: 'a truncated MP3 with Info before a plain one', truth: 'undetectable', file: join(info.subarray(0, 1440), plain) },
    {
      name: 'a complete MP3 before a truncated one',
      truth: 'truncated',
      file: join(info, info.subarray(0, 2001)),
      decoded: [info, info.subarray(0, 2001)],
    },
    {
      name: 'a complete WAV before a truncated one',
      truth: 'truncated',
      file: join(wav, wav.subarray(0, 9000)),
      decoded: [wav, wav.subarray(0, 9000)],
    },
    { name: 'a truncated WAV before a complete one', truth: 'truncated', file: join(withDataSize(wav.subarray(0, 9000), 30_000), wav) },
  ]
}
