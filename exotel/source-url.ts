// Exotel's links to recordings: how they are named in rows and histories, and which of them we are willing to fetch.
import { createHash } from 'node:crypto'

export interface NamedSource {
  /** Without query, fragment and credentials: safe in histories and logs, and what makes two names the same recording. */
  sourceUrl: string
  /** The link as Exotel gave it, where it has a query (pre-signed): a secret, for the database only. */
  fetchUrl?: string
}

/** What integrations have been seen to send for "there is none". */
const ABSENT = new Set(['', 'null', 'undefined', 'none', 'nil', 'na', 'n/a'])
const MAX_URL_LENGTH = 2048

/** Reads the text of a `RecordingUrl`; undefined where it says that there is none. Never throws: a bad link is a name, too. */
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

/** Backslashes and blanks are read as one thing by one client and as another by the next: nobody sends them honestly. */
function parse(text: string): URL | undefined {
  // oxlint-disable-next-line no-control-regex -- control characters are just what must not be in a link
  if (/[\\\s\u0000-\u001f]/.test(text)) return undefined
  const url = URL.canParse(text) ? new URL(text) : undefined
  return url && url.href.length <= MAX_URL_LENGTH ? url : undefined // as it is written out: encoding may triple it
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12)
}
