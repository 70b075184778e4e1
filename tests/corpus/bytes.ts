// The byte edits that make the corpus. All of them are deterministic.
import { createHash } from 'node:crypto'

export const zeros = (bytes: number): Buffer => Buffer.alloc(bytes)
export const join = (...parts: (Buffer | string)[]): Buffer =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part)))
export const repeat = (part: Buffer, times: number): Buffer => Buffer.concat(Array.from({ length: times }, () => part))

/** The longest result for each seed. Recipes often need the start of the same bytes. */
const madeOf = new Map<string, Buffer>()

/** Pseudo-random bytes, the same on each call. */
export function junk(bytes: number, seed = 'junk'): Buffer {
  let made = madeOf.get(seed)
  if (!made || made.length < bytes) {
    made = Buffer.concat(
      Array.from({ length: Math.ceil(bytes / 32) }, (_, block) => createHash('sha256').update(`${seed} ${block}`).digest()),
    )
    madeOf.set(seed, made)
  }
  return Buffer.from(made.subarray(0, bytes))
}

/** A copy whose bytes at `at` are replaced. */
export function patched(file: Buffer, at: number, bytes: Buffer | string): Buffer {
  const copy = Buffer.from(file)
  join(bytes).copy(copy, at)
  return copy
}

export function uint32le(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

export function uint32be(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** @param claimed the size in the tag's header, if it is wrong */
export function id3v2(content: Buffer, { claimed = content.length, flags = 0 } = {}): Buffer {
  const size = Buffer.from([21, 14, 7, 0].map((shift) => (claimed >> shift) & 0x7f))
  return join('ID3', Buffer.from([4, 0, flags]), size, content)
}

/** A text frame of ID3v2.4, padded with zeros. */
export function id3Text(bytes: number): Buffer {
  const text = join(Buffer.from([3]), 'Call of the support line'.padEnd(40))
  return join('TIT2', uint32be(text.length), zeros(2), text, zeros(Math.max(0, bytes - 10 - text.length))).subarray(0, bytes)
}

export const id3v1 = (): Buffer => join('TAG', 'Call'.padEnd(30, '\0'), 'Support'.padEnd(30, '\0'), zeros(65))

/** @param claimed the size in the header and the footer, if it is wrong */
export function ape({ claimed, header = true }: { claimed?: number; header?: boolean } = {}): Buffer {
  const item = join(uint32le(12), uint32le(0), 'Title\0', 'Support call')
  const size = uint32le(claimed ?? item.length + 32)
  const block = (flags: number): Buffer => join('APETAGEX', uint32le(2000), size, uint32le(1), uint32le(flags), zeros(8))
  return join(header ? block(0xa0000000) : '', item, block(header ? 0x80000000 : 0))
}

export function lyrics3(): Buffer {
  const content = 'LYRICSBEGININD0000210LYR00015Thank you, bye.'
  return join(content, String(content.length).padStart(6, '0'), 'LYRICS200')
}

/** The offset of the content of the first chunk with this name. */
export function chunkAt(wav: Buffer, name: string): number {
  return wav.indexOf(name, 12, 'latin1') + 8
}

/** A copy with another size in the header of its `data` chunk. */
export function withDataSize(wav: Buffer, size: number): Buffer {
  return patched(wav, chunkAt(wav, 'data') - 4, uint32le(size))
}

export function chunk(name: string, content: Buffer, claimed = content.length): Buffer {
  return join(name, uint32le(claimed), content, zeros(content.length % 2))
}

/** A copy with bytes between the format and the audio. */
export function beforeData(wav: Buffer, bytes: Buffer): Buffer {
  const at = chunkAt(wav, 'data') - 8
  return join(wav.subarray(0, at), bytes, wav.subarray(at))
}

/** The end of the last frame within this share of an MP3 whose frames all have the same length. */
export function frameEnd(mp3: Buffer, frameBytes: number, share: number): number {
  return Math.floor((mp3.length * share) / frameBytes) * frameBytes
}
