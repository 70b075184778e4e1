// Host names that belong to one organization, in settings. A host that anybody can have, or a host that serves everybody's files,
// must not get our credentials.
import { getDomain } from 'tldts'

const HOST_PATTERN = /^(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*(:\d+)?$/i

/** Providers below whose domain every customer gets hosts, buckets or paths. The public suffix list knows only some of their hosts. */
const PROVIDER_DOMAINS = new Set(
  `aliyuncs.com amazonaws.com amazonaws.com.cn azure.com backblazeb2.com cloudflarestorage.com digitaloceanspaces.com fastly.net
   googleapis.com googleusercontent.com idrivee2.com linodeobjects.com myqcloud.com oraclecloud.com ovh.net scw.cloud storjshare.io
   vultrobjects.com wasabisys.com windows.net your-objectstorage.com`.split(/\s+/),
)
/** Below these, a name contains the address that it leads to: `10.0.0.1.nip.io`. */
const ADDRESS_DOMAINS = new Set(['localtest.me', 'lvh.me', 'nip.io', 'sslip.io', 'xip.io'])
/** A host with the bucket or the customer's account before the name of the service: `bucket.s3-eu-west-1.amazonaws.com`. */
const CUSTOMER_HOST = /^[a-z0-9-].*\.(s3|storage|oss|cos|r2|blob)[.-]/

/** @param pattern a host name, or `*.` and a domain for all hosts below it; a port may follow */
export function isOwnedHost(pattern: string): boolean {
  if (!HOST_PATTERN.test(pattern)) return false
  const host = pattern.toLowerCase().replace(/:\d+$/, '')
  const isWildcard = host.startsWith('*.')
  const name = host.replace(/^\*\./, '')
  const domain = getDomain(name)
  if (domain === null || ADDRESS_DOMAINS.has(domain)) return false
  if (getDomain(name, { allowPrivateDomains: true }) === null) return false
  return !PROVIDER_DOMAINS.has(domain) || (!isWildcard && isCustomerHost(name, domain))
}

/** The public suffix list names services below which each name has another owner. A name directly below the provider's is a service. */
function isCustomerHost(name: string, provider: string): boolean {
  if (CUSTOMER_HOST.test(name)) return true
  const parent = name.slice(name.indexOf('.') + 1)
  return parent !== provider && getDomain(name, { allowPrivateDomains: true }) === name
}
