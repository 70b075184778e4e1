// Exotel writes times as `YYYY-MM-DD HH:mm:ss` without a zone: India Standard Time, UTC+05:30 all year
// [developer.exotel.com, voice-v1 status callback]. The result does not depend on the time zone of the process.

const PLAIN = /^(\d{4})-(\d{2})-(\d{2})[ T](\d{2}):(\d{2}):(\d{2})$/
const WITH_ZONE = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/
const IST_OFFSET_MS = 5.5 * 3600 * 1000
/** The Passthru applet sends the constant `1970-01-01 05:30:00` for an unknown end. */
const EARLIEST_MS = Date.UTC(2000, 0, 1)

/** Parses a time of Exotel; undefined for invalid text, impossible dates and the constant of 1970. */
export function parseExotelTime(text: string | undefined): Date | undefined {
  if (!text) return undefined
  const instant = WITH_ZONE.test(text) ? new Date(text) : readPlain(text)
  return instant && instant.getTime() >= EARLIEST_MS ? instant : undefined
}

/** `YYYY-MM-DD HH:mm:ss` in India Standard Time, as Exotel's filters require it. */
export function formatExotelTime(instant: Date): string {
  return new Date(instant.getTime() + IST_OFFSET_MS).toISOString().slice(0, 19).replace('T', ' ')
}

function readPlain(text: string): Date | undefined {
  const match = PLAIN.exec(text)
  if (!match) return undefined
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number) as [number, number, number, number, number, number]
  const instant = new Date(Date.UTC(year, month - 1, day, hour, minute, second) - IST_OFFSET_MS)
  // Date.UTC converts 2026-13-40 to a date in another month. Only a date that formats to the same text is valid.
  return formatExotelTime(instant) === text.replace('T', ' ') ? instant : undefined
}
