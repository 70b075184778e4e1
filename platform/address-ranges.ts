// IP addresses and CIDR ranges in settings.
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

type Address = ipaddr.IPv4 | ipaddr.IPv6
type Kind = 'ipv4' | 'ipv6'
interface Network {
  address: Address
  bits: number
}

const BITS = { ipv4: 32, ipv6: 128 }
/**
 * A list of ranges may contain at most as many public addresses as one range with this prefix. No single organization has more:
 * in IPv6 an organization gets a /32, and the largest content delivery networks publish several of them.
 */
const MIN_PREFIX = { ipv4: 8, ipv6: 28 }
/** IPv6 ranges of 96 bits that contain every IPv4 address: mapped, compatible and translated (NAT64) ones. */
const EMBEDDING = ['::ffff:0:0', '::', '64:ff9b::'].map((first) => ipaddr.IPv6.parse(first))
const EMBEDDING_BITS = 96
/** Private ranges. No client on the internet has an address in them, so they do not count. */
const OWN_RANGES = new Set(['carrierGradeNat', 'linkLocal', 'loopback', 'private', 'uniqueLocal'])

/** True for one IP address and for one CIDR range in the usual notation. `ipaddr.js` alone also accepts `1` as an address. */
export function isAddressRange(text: string): boolean {
  const [address = '', bits] = text.split('/', 2)
  return isIP(address) !== 0 && (bits === undefined || ipaddr.isValidCIDR(text))
}

/**
 * True if the ranges together contain a large part of all addresses. It does not matter whether one range is wide or many are narrow.
 * Addresses in two ranges count twice. Names such as `loopback` do not count.
 */
export function areTooWide(ranges: string[]): boolean {
  const networks = ranges.flatMap(readRange).map(asIPv4).filter(isPublic)
  const sizeOf = (kind: Kind): number =>
    networks.filter(({ address }) => address.kind() === kind).reduce((sum, { bits }) => sum + 2 ** (BITS[kind] - bits), 0)
  return (['ipv4', 'ipv6'] as const).some((kind) => sizeOf(kind) > 2 ** (BITS[kind] - MIN_PREFIX[kind]))
}

function readRange(range: string): Network[] {
  if (!ipaddr.isValidCIDR(range)) return []
  const [address, bits]: [Address, number] = ipaddr.parseCIDR(range)
  return [{ address, bits }]
}

/** Converts embedded IPv4 addresses to IPv4. A range that contains all of them contains all IPv4 addresses. */
function asIPv4({ address, bits }: Network): Network {
  if (address instanceof ipaddr.IPv4) return { address, bits }
  const overlaps = EMBEDDING.some((first) => first.match(address, Math.min(bits, EMBEDDING_BITS)))
  if (!overlaps) return { address, bits }
  if (bits <= EMBEDDING_BITS) return { address: ipaddr.IPv4.parse('0.0.0.0'), bits: 0 }
  return { address: new ipaddr.IPv4(address.toByteArray().slice(-4)), bits: bits - EMBEDDING_BITS }
}

/** A range is private if its first and its last address are in the same kind of private range. */
function isPublic({ address, bits }: Network): boolean {
  const parser = address.kind() === 'ipv4' ? ipaddr.IPv4 : ipaddr.IPv6
  const cidr = `${address.toString()}/${bits}`
  const [first, last] = [parser.networkAddressFromCIDR(cidr).range(), parser.broadcastAddressFromCIDR(cidr).range()]
  return first !== last || !OWN_RANGES.has(first)
}
