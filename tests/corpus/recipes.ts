// The files of the audio corpus. Each is made from base files by byte edits, so it is known whether it is complete.
import { readFileSync } from 'node:fs'
import type { Recipe } from './recipe.ts'
import { bad } from './recipes-bad.ts'
import { concatenated } from './recipes-joined.ts'
import { messages } from './recipes-messages.ts'
import { surrounded } from './recipes-tags.ts'
import { truncated } from './recipes-truncated.ts'
import { waves } from './recipes-wav.ts'

export function base(name: string): Buffer {
  return readFileSync(new URL(`./base/${name}`, import.meta.url))
}

const ACCEPTED = [
  ...[8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000].map((rate) => `mono-${rate}.mp3`),
  ...['info-8000', 'info-stereo-16000', 'stereo-44100', 'lame-plain', 'lame-info', 'lame-vbr', 'lame-abr', 'lame-crc'].map(
    (name) => `${name}.mp3`,
  ),
  ...['lame-crc-plain', 'free-32000', 'free-16000', 'lame-44100'].map((name) => `${name}.mp3`),
  'layer2.mp2',
  ...['pcm_s16le', 'pcm_u8', 'pcm_s24le', 'pcm_alaw', 'pcm_mulaw', 'mulaw-stereo', 'pcm-stereo-16000'].map((name) => `${name}.wav`),
  ...['rf64', 'piped-ffmpeg', 'piped-sox', 'extensible-24', 'alaw-stereo'].map((name) => `${name}.wav`),
]
const NOT_ACCEPTED = [
  'float.wav',
  'gsm.wav',
  'adpcm.wav',
  'mp3-in.wav',
  ...['mp4', 'mkv', 'mka', 'avi', 'mpegts', 'ogg', 'flac', 'm4a', 'aiff', 'au', 'w64', 'caf', 'aac'].map((kind) => `other.${kind}`),
]

export function allRecipes(): Recipe[] {
  return [
    ...ACCEPTED.map((name): Recipe => ({ name, truth: 'complete', file: base(name) })),
    ...NOT_ACCEPTED.map((name): Recipe => ({ name, truth: 'other', file: base(name) })),
    ...surrounded(base),
    ...truncated(base),
    ...messages(base),
    ...waves(base),
    ...concatenated(base),
    ...bad(base),
  ]
}
