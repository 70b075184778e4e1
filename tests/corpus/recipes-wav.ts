// WAVs with unusual sizes and chunks.
import { beforeData, chunk, chunkAt, id3Text, id3v1, id3v2, join, junk, patched, repeat, uint32le, withDataSize, zeros } from './bytes.ts'
import type { Recipe } from './recipe.ts'

export function waves(base: (name: string) => Buffer): Recipe[] {
  const wav = base('pcm_s16le.wav')
  return [...sizes(wav), ...chunks(wav), ...surroundings(wav), ...formats(base)]
}

function complete(name: string, file: Buffer, ...decoded: Buffer[]): Recipe {
  return { name, truth: 'complete', file, ...(decoded.length > 0 && { decoded }) }
}

function sizes(wav: Buffer): Recipe[] {
  const placeholders = [
    0, 0xffffffff, 0xfffffffe, 0xffffffdb, 0xfffff000, 0x7fffffff, 0x7ffff000, 0x7fffffdb, 0x80000000, 2_000_000_000, 1_500_000_000,
    3_000_000_000,
  ]
  return [
    ...placeholders.map((size) => complete(`WAV whose audio claims ${size} bytes`, withDataSize(wav, size), wav)),
    ...[0, 4, 100, 1_000_000, 0x7fffffff, 0xffffffff].map((size) =>
      complete(`WAV whose RIFF claims ${size} bytes`, patched(wav, 4, uint32le(size)), wav),
    ),
    complete('WAV whose audio claims too few bytes', withDataSize(wav, 8000)),
    complete('WAV whose audio claims 2 bytes too few', withDataSize(wav, wav.length - 46)),
    { name: 'WAV whose audio claims twice the bytes', truth: 'truncated', file: withDataSize(wav, 32_000) },
  ]
}

function chunks(wav: Buffer): Recipe[] {
  const data = chunkAt(wav, 'data')
  const audio = wav.subarray(data)
  const head = wav.subarray(0, data - 8)
  const half = audio.length / 2
  return [
    complete('WAV with two data chunks', join(head, chunk('data', audio.subarray(0, half)), chunk('data', audio.subarray(half)))),
    complete(
      'WAV with a list between two data chunks',
      join(head, chunk('data', audio.subarray(0, half)), chunk('LIST', zeros(30)), chunk('data', audio.subarray(half))),
    ),
    complete('WAV with a list before the audio', beforeData(wav, chunk('LIST', zeros(100)))),
    complete('WAV with an odd chunk', beforeData(wav, chunk('LIST', zeros(101)))),
    complete('WAV with a list that claims more than the file', beforeData(wav, chunk('LIST', zeros(20), 1_000_000)), wav),
    complete('WAV with a list that claims 4 GB', beforeData(wav, chunk('LIST', zeros(20), 0xfffffff0)), wav),
    complete('WAV with a list behind the audio', join(wav, chunk('LIST', zeros(100)))),
    complete('WAV with a list behind the audio that claims too much', join(wav, chunk('LIST', zeros(100), 5000))),
    complete(
      'WAV with XML in a chunk behind the audio that claims too much',
      join(wav, chunk('iXML', join('<?xml version="1.0"?><BWFXML/>'), 5000)),
    ),
    complete('WAV with 5,000 chunks', beforeData(wav, repeat(chunk('JUNK', zeros(2)), 5000))),
    complete('WAV with an ID3 chunk', join(wav, chunk('id3 ', id3v2(id3Text(50))))),
    { name: 'WAV with a list that covers the audio', truth: 'other', file: beforeData(wav, chunk('LIST', zeros(20), 15_000)) },
    { name: 'WAV without a format', truth: 'other', file: join('RIFF', uint32le(0), 'WAVE', chunk('data', audio)) },
    { name: 'WAV with 6 channels', truth: 'other', file: patched(wav, 22, Buffer.from([6])) },
    { name: 'WAV header without audio', truth: 'truncated', file: withDataSize(wav.subarray(0, data), 0) },
  ]
}

function surroundings(wav: Buffer): Recipe[] {
  const before: [string, Buffer][] = [
    ['an ID3v2 tag', id3v2(id3Text(200))],
    ['an ID3v2 tag that claims 1 MB', id3v2(id3Text(200), { claimed: 1_000_000 })],
    ['1 byte', Buffer.from('x')],
    ['an HTML page', Buffer.from('<html><body>Please wait</body></html>')],
    ['10 zeros', zeros(10)],
    ['70,000 zeros', zeros(70_000)],
    ['500,000 bytes of junk', junk(500_000)],
  ]
  return [
    ...before.map(([what, bytes]) => complete(`WAV behind ${what}`, join(bytes, wav), wav)),
    complete('WAV before an ID3v1 tag', join(wav, id3v1())),
    complete('WAV before an ID3v2 tag', join(wav, id3v2(id3Text(100)))),
    complete('WAV before 3,000 zeros', join(wav, zeros(3000))),
    complete('WAV before junk', join(wav, junk(3000))),
  ]
}

function formats(base: (name: string) => Buffer): Recipe[] {
  const alaw = base('pcm_alaw.wav')
  const fact = (count: number): Buffer => patched(alaw, chunkAt(alaw, 'fact'), uint32le(count))
  const extensible = base('extensible-24.wav')
  return [
    complete('A-law whose fact announces 2^32 - 1 samples', fact(0xffffffff)),
    complete('A-law whose fact announces too few samples', fact(10)),
    complete('extensible WAV without a size', withDataSize(extensible, 0xffffffff)),
    complete('WAV with a wrong byte rate', patched(base('pcm_u8.wav'), 28, uint32le(1))),
    complete('RF64 without a size', patched(base('rf64.wav'), chunkAt(base('rf64.wav'), 'ds64') + 8, zeros(8))),
  ]
}
