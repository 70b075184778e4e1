import { CALL_SID_PATTERN, isCallSid, type CallSid } from '../contracts/call-sid.ts'
import type { UploadInput } from '../contracts/recording.ts'

/**
 * Returns `recordings/<yyyy>/<mm>/<dd>/<CallSid>-<first 12 of sha256>.<ext>`, or the same under `quarantine/`. The same bytes of the
 * same call always have the same key.
 * @param day `YYYY-MM-DD`, UTC
 */
export function objectKey({ callSid, spooled, verdict }: UploadInput, day: string): string {
  const prefix = verdict.kind === 'good' ? 'recordings' : 'quarantine'
  return `${prefix}/${day.replaceAll('-', '/')}/${callSid}-${spooled.sha256.slice(0, 12)}.${verdict.audio.extension}`
}

/** The key to use if a foreign object has the normal key: the same key with the whole SHA-256 at the end of the name. */
export function alternativeKey(key: string, sha256: string): string {
  const dot = key.lastIndexOf('.')
  return `${key.slice(0, dot)}-${sha256}${key.slice(dot)}`
}

const KEY = new RegExp(
  String.raw`^(recordings|quarantine)/\d{4}/\d{2}/\d{2}/(${CALL_SID_PATTERN})-([0-9a-f]{12})(?:-[0-9a-f]{64})?\.(\w+)$`,
)

/** The parts of a key that {@link objectKey} or {@link alternativeKey} made; undefined for any other. */
export function readObjectKey(key: string): { prefix: string; callSid: CallSid; hashPrefix: string; extension: string } | undefined {
  const [, prefix, callSid, hashPrefix, extension] = KEY.exec(key) ?? []
  return prefix && callSid && isCallSid(callSid) && hashPrefix && extension ? { prefix, callSid, hashPrefix, extension } : undefined
}
