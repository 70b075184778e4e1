import { fileURLToPath } from 'node:url'

export const GOOD_SAMPLES = ['agent-mulaw.wav', 'inbound-dual.mp3', 'outbound-mono.mp3', 'short-vbr-id3.mp3', 'voicemail-pcm.wav'] as const

/** Path of one of the stand-in Exotel's recordings. */
export function sample(name: string): string {
  return fileURLToPath(new URL(`../../testing/simulator/recordings/${name}`, import.meta.url))
}
