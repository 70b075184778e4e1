import ipaddr from 'ipaddr.js'

/**
 * What counts as one client: an IPv4 address, or an IPv6 network of /48, because a provider gives a site that many addresses.
 * @param address what the request says of its client; where that is no address, `socketAddress` counts
 */
export function clientKey(address: string | undefined, socketAddress: string | undefined): string {
  const text = [withoutPort(address), socketAddress].find((each) => each && ipaddr.isValid(each))
  if (!text) return 'unknown'
  const parsed = ipaddr.process(text)
  if (parsed.kind() === 'ipv4') return parsed.toString()
  const network = (parsed as ipaddr.IPv6).parts.slice(0, 3).map((part) => part.toString(16))
  return `${network.join(':')}::/48`
}

/** Some proxies write the client's port behind its address. */
function withoutPort(address: string | undefined): string | undefined {
  return address?.replace(/^\[(.+)\](?::\d+)?$/, '$1').replace(/^([\d.]+):\d+$/, '$1')
}
