// Which links may be fetched, and which of them get our credentials. Checked for every link and every redirect.
import ipaddr from 'ipaddr.js'
import type { LookupFunction } from 'node:net'
import { lookup } from 'node:dns'

/** Never to be fetched: bad scheme, private address, not a URL. */
export class UrlRefused extends Error {}
/** A public host that the settings do not name. */
export class HostNotAllowed extends Error {}

export interface UrlPolicy {
  /** Exotel's own hosts, which get our credentials: names, or `*.` and a suffix, with a port where it is not 443. */
  hosts: string[]
  /** Hosts, written alike, whose links are fetched without credentials. */
  publicHosts: string[]
  /** Plain http, loopback and private addresses: for a stand-in on this machine. */
  allowLocal: boolean
}

/** Where Exotel has kept recordings under its own name on a shared host: fetched without credentials. */
const EXOTEL_BUCKET =
  /^https:\/\/(?:s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com\/exotelrecordings|exotelrecordings\.s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com)\//

/**
 * @param how `named`: a link from Exotel, so its host must be known; `redirect`: any public host
 * @returns the URL and whether it leads to one of Exotel's own hosts, which alone get credentials
 * @throws {UrlRefused | HostNotAllowed}
 */
export function checkUrl(text: string, policy: UrlPolicy, how: 'named' | 'redirect'): { url: URL; own: boolean } {
  if (!URL.canParse(text)) throw new UrlRefused('The link is not a URL')
  const url = new URL(text)
  if (url.protocol === 'invalid:') throw new UrlRefused('The link is not a URL, or one that clients read differently')
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && policy.allowLocal)) {
    throw new UrlRefused(`The link's scheme is ${url.protocol.replace(':', '')}, only https is fetched`)
  }
  if (url.username || url.password) throw new UrlRefused('The link has credentials in it')
  const host = url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '')
  if (ipaddr.isValid(host)) checkAddress(host, policy)
  const isIn = (hosts: string[]): boolean => hosts.some((entry) => matches({ host, port: url.port }, entry.toLowerCase(), policy))
  const own = isIn(policy.hosts)
  if (how === 'named' && !own && !isIn(policy.publicHosts) && !EXOTEL_BUCKET.test(url.href)) {
    throw new HostNotAllowed(`The link's host ${url.host} is not one of EXOTEL_RECORDING_HOSTS or EXOTEL_PUBLIC_RECORDING_HOSTS`)
  }
  return { url, own }
}

/** @throws {UrlRefused} for every address that is not public, in whatever notation it is written */
export function checkAddress(address: string, policy: UrlPolicy): void {
  const range = rangeOf(address)
  if (range === 'public') return
  if (policy.allowLocal && LOCAL_RANGES.has(range)) return
  throw new UrlRefused(`The link leads to a ${range} address`)
}

const LOCAL_RANGES = new Set(['loopback', 'private', 'uniqueLocal'])
/** All public IPv6 addresses come from here [IANA IPv6 Address Space]; the rest is local, special or not given to anybody,
 * `::a.b.c.d` for instance, with which some systems connect to the IPv4 address inside [RFC 4291, deprecated]. */
const PUBLIC_IPV6 = ipaddr.IPv6.parseCIDR('2000::/3')
/** Cloud metadata services that live outside the link-local ranges. */
const METADATA_ADDRESSES = new Set(['fd00:ec2::254', '100.100.100.200', '168.63.129.16'])

/** `public`, or the name of the special range. An IPv4-mapped address is judged as IPv4; other forms with IPv4 inside are special. */
function rangeOf(address: string): string {
  const written = ipaddr.parse(inGroups(address.replace(/%.*$/, ''))) // without the name of an interface
  const parsed = written.kind() === 'ipv6' && (written as ipaddr.IPv6).isIPv4MappedAddress() ? toIPv4(written) : written
  if (METADATA_ADDRESSES.has(parsed.toString())) return 'metadata'
  const range = parsed.range()
  if (parsed.kind() === 'ipv4') return range === 'unicast' ? 'public' : range
  if (range !== 'unicast') return range
  return parsed.match(PUBLIC_IPV6) ? 'public' : 'reserved'
}

/** IPv6 without a dotted part: ipaddr.js takes `::127.0.0.1`, as resolvers write it, for IPv4-mapped. */
function inGroups(address: string): string {
  return address.includes(':') ? new URL(`http://[${address}]/`).hostname.slice(1, -1) : address
}

function toIPv4(mapped: ipaddr.IPv4 | ipaddr.IPv6): ipaddr.IPv4 {
  return (mapped as ipaddr.IPv6).toIPv4Address()
}

/** A resolver for sockets: the very addresses that a connection will use are checked, so no second answer can differ. */
export function guardedLookup(policy: UrlPolicy): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return callback(error, '', 0)
      try {
        for (const { address } of addresses) checkAddress(address, policy)
      } catch (refused) {
        return callback(refused as Error, '', 0)
      }
      const [first] = addresses
      if (options.all) return callback(null, addresses)
      return callback(null, first?.address ?? '', first?.family ?? 0)
    })
  }
}

/** @param port empty for the scheme's own. Stand-ins on this machine have any port. */
function matches({ host, port }: { host: string; port: string }, entry: string, { allowLocal }: UrlPolicy): boolean {
  const [, name = '', entryPort] = /^(.*?)(?::(\d+))?$/.exec(entry) ?? []
  const isPort = entryPort === undefined ? port === '' || allowLocal : port === entryPort || (entryPort === '443' && port === '')
  if (!isPort) return false
  return name.startsWith('*.') ? host.endsWith(name.slice(1)) && host.length > name.length - 1 : host === name
}
