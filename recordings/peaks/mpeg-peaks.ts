import { MPEGDecoder, type MPEGDecodedAudio } from 'mpg123-decoder'
import type { PeaksResult } from '../../contracts/peaks.ts'
import { readFrame } from '../audio/mpeg-frame.ts'
import type { ForwardStream } from './forward-stream.ts'
import { PeakPoints } from './peak-points.ts'
import type { Slices } from './slices.ts'

/** At 32 kbit/s this is one second of audio, which is decoded in a few ms. */
const PIECE_BYTES = 4096
/** More than damaged bytes cause: a piece has at most 170 frames. */
const MAX_ERRORS_IN_PIECE = 1000

/**
 * Computes the peaks of the MPEG audio from `start` to the end of the file. The decoder skips tags and damaged frames. The first frame
 * decides the number of channels, because the decoder always returns two.
 */
export async function mpegPeaks(file: ForwardStream, start: number, slices: Slices): Promise<PeaksResult> {
  const channels = readFrame(await file.view(start), 0)?.channels ?? 2
  const points = new PeakPoints(channels)
  let seconds = 0
  const decoder = new MPEGDecoder()
  await decoder.ready
  try {
    for await (const chunk of file.chunks(start, file.size - start)) {
      for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
        await slices.run(() => {
          const { channelData, samplesDecoded, sampleRate } = decodePiece(decoder, chunk.subarray(at, at + PIECE_BYTES))
          points.add(channelData, samplesDecoded)
          if (samplesDecoded > 0) seconds += samplesDecoded / sampleRate
        })
      }
    }
  } finally {
    decoder.free()
  }
  return points.finish(seconds)
}

/**
 * The decoder writes each error to the console and then tries again, without limit. Here its errors are counted instead: damaged frames
 * cause few of them, and a decoder that cannot continue would block the process forever. The call is synchronous, so no other code writes
 * to the console meanwhile.
 * @throws if there are too many errors
 */
function decodePiece(decoder: MPEGDecoder, bytes: Buffer): MPEGDecodedAudio {
  const { error } = console
  let errors = 0
  console.error = () => {
    errors += 1
    if (errors > MAX_ERRORS_IN_PIECE) throw new Error('The decoder cannot continue')
  }
  try {
    return decoder.decode(bytes)
  } finally {
    console.error = error
  }
}
