// Derives the finding from the audio that was found in a file.
import type { AudioFacts } from '../../contracts/recording.ts'
import type { Finding } from './finding.ts'
import { MAX_PARTS, type AudioPart } from './mpeg.ts'
import type { MpegPart } from './mpeg-part.ts'
import type { Gap, Walk } from './walk.ts'
import type { WavPart } from './wav.ts'

/** Some encoders include the frame that contains the number. */
const FRAME_COUNT_TOLERANCE = 1
const MAX_REMARKS = 10
const MAX_GAP_BYTES = 64 * 1024
/** Fewer frames in a row may be a coincidence if most of the file is not audio. */
const FEW_FRAMES = 10
/** If there is more than one gap for this many frames, the frames are part of another container. */
const FRAMES_PER_GAP = 8

/** @param walk a walk that found at least one part */
export function judge(walk: Walk): Finding {
  const { parts } = walk
  const audio = factsOf(parts)
  const refusal = parts.map(refusalOf).find(Boolean)
  if (refusal) return { kind: 'damaged', audio, reason: refusal }
  const missing = walk.hasMessage ? messageReason(parts) : missingParts(parts)[0]
  if (missing) return { kind: 'incomplete', audio, reason: missing }
  const damage = damageOf(walk)
  if (damage) return { kind: 'damaged', audio, reason: damage }
  const remark = [...new Set([...parts.flatMap(remarksOf), ...gapRemarks(walk)])].slice(0, MAX_REMARKS).join('; ')
  return { kind: 'good', audio, ...(remark && { remark }) }
}

function factsOf(parts: AudioPart[]): AudioFacts {
  const [first] = parts as [AudioPart]
  if (first.kind === 'wav') {
    const audio: AudioFacts = { contentType: 'audio/wav', extension: 'wav' }
    if (first.format?.kind !== 'accepted') return audio
    const { codec, sampleRate, channels } = first.format
    return { ...audio, codec, sampleRate, channels, durationSeconds: durationOf(parts) }
  }
  const { layer, sampleRate, channels } = first.first
  const codec = `mp${layer}`
  return { contentType: 'audio/mpeg', extension: codec, codec, sampleRate, channels, durationSeconds: durationOf(parts) }
}

function durationOf(parts: AudioPart[]): number {
  return parts.reduce((sum, part) => sum + (part.kind === 'wav' ? wavSeconds(part) : mpegSeconds(part)), 0)
}

function wavSeconds({ format, frames }: WavPart): number {
  return format?.kind === 'accepted' ? frames / format.sampleRate : 0
}

/** Players skip the samples that the encoder added at both ends. If frames are missing, the samples added at the end are, too. */
function mpegSeconds({ info, seconds, frames, first }: MpegPart): number {
  if (!info) return seconds
  const isAllThere = info.frames === undefined || frames >= info.frames
  const trimmed = info.trimStart + (isAllThere ? info.trimEnd : 0)
  return Math.max(0, seconds - trimmed / first.sampleRate)
}

function refusalOf(part: AudioPart): string | undefined {
  if (part.kind === 'mpeg') return undefined
  if (part.format?.kind === 'not accepted') return part.format.why
  if (part.unreadable) return part.unreadable
  return part.format || part.missing ? undefined : 'The WAV has no description of its format'
}

function messageReason(parts: AudioPart[]): string {
  return `A text message follows the audio, which lasts ${durationOf(parts).toFixed(1)} s: the download is incomplete`
}

function missingParts(parts: AudioPart[]): string[] {
  return parts.flatMap((part, index) => {
    const missing = part.kind === 'wav' ? part.missing : missingFrames(part, parts.slice(index + 1))
    return missing ? [missing] : []
  })
}

function missingFrames({ info, frames, bytes, isCut, endsWithText }: MpegPart, later: AudioPart[]): string | undefined {
  const announced = info?.frames
  if (announced === undefined && info?.bytes === undefined) {
    if (isCut) return `The MP3 is cut off in the middle of frame ${frames + 1}`
    if (frames === 0) return 'The MP3 has a header but no audio frames'
    return endsWithText ? 'The MP3 ends with a text message instead of audio' : undefined
  }
  const hasBytes = info?.bytes !== undefined && info.bytes <= bytes
  const tolerance = info?.bytes === undefined ? FRAME_COUNT_TOLERANCE : 0
  const hasFrames = announced !== undefined && frames >= announced - tolerance
  const isJoined = announced !== undefined && !isCut && announcesAll(announced, frames, later)
  if (hasBytes || hasFrames || isJoined) return frames === 0 ? 'The MP3 has a header but no audio frames' : undefined
  return announced === undefined
    ? `The MP3 is cut off: it announces ${info!.bytes} bytes and has ${bytes}`
    : `The MP3 is cut off: it announces ${announced} frames and has ${frames}`
}

/** Programs that join files write the total number of frames into the first one. Some include the frames that contain the other numbers. */
function announcesAll(announced: number, frames: number, later: AudioPart[]): boolean {
  const mpeg = later.filter((part) => part.kind === 'mpeg')
  const all = mpeg.reduce((sum, part) => sum + part.frames, frames)
  const counts = mpeg.filter((part) => part.info).length
  return mpeg.length > 0 && Math.abs(all - announced) <= counts + FRAME_COUNT_TOLERANCE
}

function damageOf({ parts, before, inside, behind }: Walk): string | undefined {
  if (before?.hasContainer) return 'The audio is part of a container that does not start at the beginning of the file'
  if (parts.length > MAX_PARTS) return `The file consists of more than ${MAX_PARTS} recordings`
  const mpeg = parts.filter((part) => part.kind === 'mpeg')
  if (mpeg.length < parts.length || mpeg.some(isConfirmed)) return undefined
  const frames = mpeg.reduce((sum, part) => sum + part.frames, 0)
  const frameBytes = mpeg.reduce((sum, part) => sum + part.bytes, 0)
  const junk = (before?.junk ?? 0) + inside.junk + (behind?.junk ?? 0)
  const isFew = frames < FEW_FRAMES * (inside.gaps + 1)
  if (isFew && junk > frameBytes) return `Only ${frames} MP3 frames were found among ${junk} other bytes`
  if (inside.bytes > MAX_GAP_BYTES) return `The MP3 has ${inside.bytes} bytes between its frames that are not audio`
  return inside.gaps > Math.max(FEW_FRAMES, frames / FRAMES_PER_GAP)
    ? `The MP3 is interrupted ${inside.gaps} times: it is damaged, or its frames are part of another format`
    : undefined
}

/** True if the part has as many frames as its encoder announced. */
function isConfirmed({ info, frames }: MpegPart): boolean {
  return info?.frames !== undefined && frames >= info.frames
}

function remarksOf(part: AudioPart): string[] {
  if (part.kind === 'wav') return part.remarks
  const { info, frames, changesFormat } = part
  const isCountWrong = info?.frames !== undefined && Math.abs(info.frames - frames) > FRAME_COUNT_TOLERANCE
  return [
    ...(isCountWrong ? [`The MP3 announces ${info!.frames} frames and has ${frames}`] : []),
    ...(changesFormat ? ['The sample rate or the number of channels changes in the MP3'] : []),
  ]
}

function gapRemarks({ parts, before, inside, behind, hasWrongTag, hasAudioInTag }: Walk): string[] {
  return [
    ...(hasAudioInTag ? ['Players skip audio in the ID3 tag: the size of the tag may be wrong'] : []),
    ...(hasWrongTag ? ['No audio starts where the ID3 tag ends: its size may be wrong'] : []),
    ...(before ? [gapRemark(before, 'before the audio')] : []),
    ...(before && parts[0]?.kind === 'wav' ? ['Most players do not play a WAV that does not start at the beginning of the file'] : []),
    ...(inside.gaps > 0 ? [`${inside.bytes} bytes in the middle of the audio are not audio`] : []),
    ...(behind ? [gapRemark(behind, 'after the audio')] : []),
  ]
}

function gapRemark({ bytes, isTag }: Gap, place: string): string {
  return isTag ? `${bytes} bytes ${place} are a tag that does not fit the file` : `${bytes} bytes ${place} are not part of it`
}
