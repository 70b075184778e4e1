// IP addresses and CIDR ranges in settings.
import ipaddr from 'ipaddr.js'

type Address = ipaddr.IPv4 | ipaddr.IPv6

/** Wider ranges of public addresses are nobody's own network: the widest private one, 10.0.0.0/8, has 8 bits. */
const MIN_PREFIX = { ipv4: 8, ipv6: 16 }
/** IPv4 addresses in IPv6 notation: ::ffff:0:0/96. */
const MAPPED = ipaddr.IPv6.parse('::ffff:0:0')
const MAPPED_BITS = 96
const OWN_RANGES = new Set(['uniqueLocal', 'linkLocal'])

export function isAddressRange(text: string): boolean {
  return text.includes('/') ? ipaddr.isValidCIDR(text) : ipaddr.isValid(text)
}

/** True for 0.0.0.0/0, ::/0 and every other range that contains a large part of all addresses, in IPv6 notation too. */
export function isTooWide(range: string): boolean {
  if (!ipaddr.isValidCIDR(range)) return false
  const [address, bits]: [Address, number] = ipaddr.parseCIDR(range)
  if (address.kind() === 'ipv4') return bits < MIN_PREFIX.ipv4
  if (MAPPED.match(address as ipaddr.IPv6, Math.min(bits, MAPPED_BITS))) return bits - MAPPED_BITS < MIN_PREFIX.ipv4
  return bits < MIN_PREFIX.ipv6 && !OWN_RANGES.has(address.range())
}
