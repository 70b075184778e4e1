import type { PeaksResult } from '../../contracts/peaks.ts'
import { findFirstAudio } from '../audio/walk.ts'
import { ForwardStream, SourceFailed } from './forward-stream.ts'
import { mpegPeaks } from './mpeg-peaks.ts'
import { Slices } from './slices.ts'
import { wavPeaks } from './wav-peaks.ts'

export interface PeaksControl {
  signal: AbortSignal
  /** The share of the time of the process that the computation may take, above 0 and at most 1. */
  share: number
  /** Receives the number of bytes read so far. */
  onProgress: (bytes: number) => void
}

/**
 * Computes the waveform peaks of a file by its content, in one pass and in constant memory. A file that cannot be decoded gives a reason.
 * @param size the number of bytes of the source
 * @throws the error of the source, or the reason of the signal
 */
export async function computePeaks(
  source: AsyncIterable<Buffer>,
  size: number,
  { signal, share, onProgress }: PeaksControl,
): Promise<PeaksResult> {
  const file = new ForwardStream(source, size, onProgress)
  try {
    return await peaksOf(file, new Slices(share, signal))
  } catch (error) {
    if (error instanceof SourceFailed) throw error.cause
    signal.throwIfAborted()
    // A bug in a parser or in the decoder, which would occur again.
    return { kind: 'none', reason: 'The audio cannot be decoded' }
  } finally {
    await file.close()
  }
}

async function peaksOf(file: ForwardStream, slices: Slices): Promise<PeaksResult> {
  const audio = await findFirstAudio(file)
  if (!audio) return { kind: 'none', reason: 'No audio was found in the file' }
  return audio.kind === 'wav' ? wavPeaks(file, audio.at, slices) : mpegPeaks(file, audio.at, slices)
}
