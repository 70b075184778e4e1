import type { UploadInput } from '../workflows/contracts/recording.ts'

/**
 * `recordings/<yyyy>/<mm>/<dd>/<CallSid>-<first 12 of sha256>.<ext>`, or the same under `quarantine/`. The same bytes of the
 * same call have the same key, whenever and however often they come.
 * @param day `YYYY-MM-DD`, UTC
 */
export function objectKey({ callSid, spooled, verdict }: UploadInput, day: string): string {
  const room = verdict.verdict === 'good' ? 'recordings' : 'quarantine'
  return `${room}/${day.replaceAll('-', '/')}/${callSid}-${spooled.sha256.slice(0, 12)}.${verdict.audio.extension}`
}
