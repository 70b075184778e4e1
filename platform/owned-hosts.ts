// Hosts that get our Exotel API key, in settings. A list of hosts that anybody can have is never complete. Therefore `*.` is
// accepted for Exotel's own domains only, and every other host has to be named in full.
import { getDomain, parse } from 'tldts'

const EXOTEL_DOMAINS = new Set(['exotel.com', 'exotel.in'])
/** Below these, a name contains the address that it leads to: `10.0.0.1.nip.io`. */
const ADDRESS_DOMAINS = new Set([
  'localtest.me',
  'lvh.me',
  '1u.ms',
  'local-ip.co',
  'nip.io',
  'rbndr.us',
  'sslip.io',
  'traefik.me',
  'vcap.me',
  'xip.io',
])

/** Endpoints of object stores, where the path and not the name says whose bucket it is. */
const STORE_ENDPOINT = /^(s3[.-].+|storage\.googleapis\.com|f\d+\.backblazeb2\.com)$/

/** @param pattern a host name, or `*.` and a domain for all hosts below it; a port may follow */
export function isOwnedHost(pattern: string): boolean {
  const host = pattern.toLowerCase().replace(/:\d+$/, '')
  const name = host.replace(/^\*\./, '')
  const domain = getDomain(name)
  if (domain === null || !parse(name).isIcann || isSharedSuffix(name) || STORE_ENDPOINT.test(name)) return false
  return EXOTEL_DOMAINS.has(domain) || (!host.startsWith('*.') && !ADDRESS_DOMAINS.has(domain))
}

/** Hosts such as `s3.amazonaws.com`, below which each name has another owner: they serve everybody's files. */
function isSharedSuffix(name: string): boolean {
  return getDomain(name, { allowPrivateDomains: true }) === null
}
