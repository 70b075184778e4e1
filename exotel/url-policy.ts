// Decides which links may be fetched, and which of them get our credentials. Every link and every redirect is checked.
import ipaddr from 'ipaddr.js'
import type { LookupFunction } from 'node:net'
import { lookup } from 'node:dns'

/** The link is never fetched: wrong scheme, private address, or not a URL. */
export class UrlRefused extends Error {}
/** A public host that the settings do not name. */
export class HostNotAllowed extends Error {}
/** A redirect, or an address from DNS, leads to where no request may go. Unlike the link itself, it may be different next time. */
export class DestinationRefused extends Error {}

export interface UrlPolicy {
  /** Exotel's own hosts, which get our credentials: names, or `*.` and a suffix, with a port if it is not 443. */
  hosts: string[]
  /** Hosts in the same form whose links are fetched without credentials, even if an entry of `hosts` matches them too. */
  publicHosts: string[]
  /** Allows plain http, loopback and private addresses, for the simulator. */
  allowLocal: boolean
}

/** Exotel's buckets on a shared host of S3. They are fetched without credentials. */
const EXOTEL_BUCKET =
  /^https:\/\/(?:s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com\/exotelrecordings|exotelrecordings\.s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com)\//

/**
 * @param how `named`: a link from Exotel, whose host must be in the settings; `redirect`: any public host is allowed
 * @returns the URL, and whether its host is one of Exotel's own, which alone get credentials
 * @throws {UrlRefused | HostNotAllowed}
 */
export function checkUrl(text: string, policy: UrlPolicy, how: 'named' | 'redirect'): { url: URL; isExotelHost: boolean } {
  if (!URL.canParse(text)) throw new UrlRefused('The link is not a URL')
  const url = new URL(text)
  if (url.protocol === 'invalid:') throw new UrlRefused('The link is not a URL, or HTTP clients parse it differently')
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && policy.allowLocal)) {
    throw new UrlRefused(`The link's scheme is ${url.protocol.replace(':', '')}; only https is allowed`)
  }
  if (url.username || url.password) throw new UrlRefused('The link contains credentials')
  const host = url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '')
  if (ipaddr.isValid(host)) checkAddress(host, policy)
  const isIn = (hosts: string[]): boolean => hosts.some((entry) => matches({ host, port: url.port }, entry.toLowerCase(), policy))
  const isPublicHost = isIn(policy.publicHosts)
  const isExotelHost = isIn(policy.hosts) && !isPublicHost
  if (how === 'named' && !isExotelHost && !isPublicHost && !EXOTEL_BUCKET.test(url.href)) {
    throw new HostNotAllowed(`The link's host ${url.host} is in neither EXOTEL_RECORDING_HOSTS nor EXOTEL_PUBLIC_RECORDING_HOSTS`)
  }
  return { url, isExotelHost }
}

/** @throws {UrlRefused} for every address that is not public, in any notation */
export function checkAddress(address: string, policy: UrlPolicy): void {
  const range = rangeOf(address)
  if (range === 'public') return
  if (policy.allowLocal && LOCAL_RANGES.has(range)) return
  throw new UrlRefused(`The link leads to a ${range} address`)
}

const LOCAL_RANGES = new Set(['loopback', 'private', 'uniqueLocal'])
/** All public IPv6 addresses are in this range [IANA IPv6 Address Space]. The others are local, special or unassigned. An example is
 * `::a.b.c.d`, with which some systems connect to the IPv4 address inside [RFC 4291, deprecated]. */
const PUBLIC_IPV6 = ipaddr.IPv6.parseCIDR('2000::/3')
/** Addresses of cloud metadata services outside the link-local ranges. */
const METADATA_ADDRESSES = new Set(['fd00:ec2::254', '100.100.100.200', '168.63.129.16'])

/** `public`, or the name of the special range. An IPv4-mapped address is treated as IPv4; other forms with IPv4 inside are special. */
function rangeOf(address: string): string {
  const written = ipaddr.parse(inGroups(address.replace(/%.*$/, ''))) // without the name of an interface
  const parsed = written.kind() === 'ipv6' && (written as ipaddr.IPv6).isIPv4MappedAddress() ? toIPv4(written) : written
  if (METADATA_ADDRESSES.has(parsed.toString())) return 'metadata'
  const range = parsed.range()
  if (parsed.kind() === 'ipv4') return range === 'unicast' ? 'public' : range
  if (range !== 'unicast') return range
  return parsed.match(PUBLIC_IPV6) ? 'public' : 'reserved'
}

/** IPv6 without a dotted part, because ipaddr.js parses `::127.0.0.1`, which resolvers return, as IPv4-mapped. */
function inGroups(address: string): string {
  return address.includes(':') ? new URL(`http://[${address}]/`).hostname.slice(1, -1) : address
}

function toIPv4(mapped: ipaddr.IPv4 | ipaddr.IPv6): ipaddr.IPv4 {
  return (mapped as ipaddr.IPv6).toIPv4Address()
}

/**
 * A resolver for sockets. It checks the addresses that the connection will use, so that a second DNS response cannot bypass the check.
 * Fails with {@link DestinationRefused} if one of them is not public.
 */
export function guardedLookup(policy: UrlPolicy): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return callback(error, '', 0)
      try {
        for (const { address } of addresses) checkAddress(address, policy)
      } catch (refused) {
        return callback(new DestinationRefused(`${hostname} cannot be requested: ${(refused as Error).message}`), '', 0)
      }
      const [first] = addresses
      if (options.all) return callback(null, addresses)
      return callback(null, first?.address ?? '', first?.family ?? 0)
    })
  }
}

/** @param port empty for the default port of the scheme. With `allowLocal`, an entry without a port matches every port. */
function matches({ host, port }: { host: string; port: string }, entry: string, { allowLocal }: UrlPolicy): boolean {
  const [, name = '', entryPort] = /^(.*?)(?::(\d+))?$/.exec(entry) ?? []
  const isPort = entryPort === undefined ? port === '' || allowLocal : port === entryPort || (entryPort === '443' && port === '')
  if (!isPort) return false
  return name.startsWith('*.') ? host.endsWith(name.slice(1)) && host.length > name.length - 1 : host === name
}
