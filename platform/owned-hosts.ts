// Checks the hosts in settings that get our Exotel API key. A list of domains below which anybody can get a host is never complete.
// Therefore `*.` is accepted only for Exotel's own domains, and every other host has to be named in full.
import { getDomain, parse } from 'tldts'

const EXOTEL_DOMAINS = new Set(['exotel.com', 'exotel.in'])
/** Names below these domains resolve to an address in the name (`10.0.0.1.nip.io`) or to a loopback address. */
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

/** Endpoints of object stores at which the path, not the host name, determines the bucket and so its owner. */
const STORE_ENDPOINT = /^(s3[.-].+|storage\.googleapis\.com|f\d+\.backblazeb2\.com)$/

/** @param pattern a host name, or `*.` and a domain for all hosts below it, optionally with a port */
export function isOwnedHost(pattern: string): boolean {
  const host = pattern.toLowerCase().replace(/:\d+$/, '')
  const name = host.replace(/^\*\./, '')
  const domain = getDomain(name)
  if (domain === null || !parse(name).isIcann || isSharedSuffix(name) || STORE_ENDPOINT.test(name)) return false
  return EXOTEL_DOMAINS.has(domain) || (!host.startsWith('*.') && !ADDRESS_DOMAINS.has(domain))
}

/** True for hosts such as `s3.amazonaws.com`: each name below them has a different owner, and they serve files of all owners. */
function isSharedSuffix(name: string): boolean {
  return getDomain(name, { allowPrivateDomains: true }) === null
}
