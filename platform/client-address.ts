import ipaddr from 'ipaddr.js'

/**
 * The key by which clients are limited: an IPv4 address, or a /48 network of IPv6, because a provider assigns that many addresses to
 * one site.
 * @param address the client address according to the request. If it is not an address, `socketAddress` is used
 */
export function clientKey(address: string | undefined, socketAddress: string | undefined): string {
  const text = [withoutPort(address), socketAddress].find((each) => each && ipaddr.isValid(each))
  if (!text) return 'unknown'
  const parsed = ipaddr.process(text)
  if (parsed.kind() === 'ipv4') return parsed.toString()
  const network = (parsed as ipaddr.IPv6).parts.slice(0, 3).map((part) => part.toString(16))
  return `${network.join(':')}::/48`
}

/** Some proxies append the client's port to its address. */
function withoutPort(address: string | undefined): string | undefined {
  return address?.replace(/^\[(.+)\](?::\d+)?$/, '$1').replace(/^([\d.]+):\d+$/, '$1')
}
