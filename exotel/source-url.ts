// Reads Exotel's links to recordings, and derives the name that rows and histories use for each.
import { createHash } from 'node:crypto'

export interface NamedSource {
  /** The link without query, fragment and credentials. It is safe in histories and logs, and identifies the recording. */
  sourceUrl: string
  /** The link as Exotel sent it, if it has a query (pre-signed). A secret that is stored only in the database. */
  fetchUrl?: string
}

/** Values that integrations have been observed to send if there is no recording. */
const ABSENT = new Set(['', 'null', 'undefined', 'none', 'nil', 'na', 'n/a'])
const MAX_URL_LENGTH = 2048

/** Reads a `RecordingUrl`; undefined if there is no recording. Never throws: an invalid link becomes a name as well. */
export function readSourceUrl(raw: string | undefined): NamedSource | undefined {
  const text = raw?.trim() ?? ''
  if (ABSENT.has(text.toLowerCase())) return undefined
  const url = parse(text)
  if (!url) return { sourceUrl: `invalid:${digest(text)}` }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return { sourceUrl: `${url.protocol}${digest(text)}` }
  const credentials = url.username || url.password ? 'refused@' : ''
  const sourceUrl = `${url.protocol}//${credentials}${url.host.replace(/\.(?=$|:)/, '')}${url.pathname}`
  return url.search && !credentials ? { sourceUrl, fetchUrl: `${sourceUrl}${url.search}` } : { sourceUrl }
}

/** Rejects backslashes and blanks, because HTTP clients parse them differently and regular links do not contain them. */
function parse(text: string): URL | undefined {
  // oxlint-disable-next-line no-control-regex -- control characters must not be in a link
  if (/[\\\s\u0000-\u001f]/.test(text)) return undefined
  const url = URL.canParse(text) ? new URL(text) : undefined
  return url && url.href.length <= MAX_URL_LENGTH ? url : undefined // `href`, because encoding may triple the length
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12)
}
