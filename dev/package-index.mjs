// The Python package index that pip would use: its address, certificates and proxy, from the environment or from pip's configuration.
import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

const DEFAULT_INDEX = 'https://pypi.org/simple'
const JSON_TYPE = 'application/vnd.pypi.simple.v1+json'
/** Shared by all requests, so that they reuse connections. */
let dispatcher

/**
 * @returns the wheels of a project: file name and URL
 * @throws if the index does not answer with a list of files
 */
export async function listWheels(project) {
  const { indexUrl } = settings()
  const page = new URL(`${indexUrl.replace(/\/*$/, '')}/${project}/`)
  const response = await get(page, { Accept: `${JSON_TYPE}, text/html;q=0.5` })
  const text = await response.text()
  const files = response.headers.get('content-type')?.startsWith(JSON_TYPE) ? JSON.parse(text).files : readAnchors(text)
  return files.filter(({ filename }) => filename.endsWith('.whl')).map(({ filename, url }) => ({ filename, url: new URL(url, page) }))
}

/** @throws on every status but 200 */
export async function get(url, headers = {}) {
  const { fetch } = await import('undici')
  const { indexUrl } = settings()
  const index = new URL(indexUrl)
  const address = new URL(url)
  const { username, password } = address.origin === index.origin && !address.username ? index : address
  const authorization = username && {
    Authorization: `Basic ${Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')}`,
  }
  address.username = address.password = ''
  dispatcher ??= await createDispatcher()
  const response = await fetch(address, { headers: { ...headers, ...authorization }, dispatcher }).catch((error) => {
    throw new Error(`${address.origin} does not answer: ${error.cause?.message ?? error.message}`, { cause: error })
  })
  if (response.status !== 200) throw new Error(`${address.href} answers ${response.status}`)
  return response
}

/** Node reads NODE_EXTRA_CA_CERTS itself; a file that pip is told to use replaces the usual certificates. */
async function createDispatcher() {
  const { EnvHttpProxyAgent, ProxyAgent } = await import('undici')
  const { certificates, proxy } = settings()
  const tls = certificates ? { ca: readFileSync(certificates) } : {}
  return proxy
    ? new ProxyAgent({ uri: proxy, requestTls: tls, proxyTls: tls })
    : new EnvHttpProxyAgent({ connect: tls, requestTls: tls, proxyTls: tls })
}

function settings() {
  const file = Object.assign({}, ...configurationFiles().map(readConfiguration))
  const { PIP_INDEX_URL, PIP_CERT, PIP_PROXY } = process.env
  return {
    indexUrl: PIP_INDEX_URL || file['index-url'] || DEFAULT_INDEX,
    certificates: PIP_CERT || file.cert,
    proxy: PIP_PROXY || file.proxy,
  }
}

/** Later files win [pip.pypa.io/en/stable/topics/configuration]. */
function configurationFiles() {
  const { PIP_CONFIG_FILE, XDG_CONFIG_HOME } = process.env
  if (PIP_CONFIG_FILE === '/dev/null') return []
  const home = homedir()
  return [
    '/etc/pip.conf',
    join(home, '.pip', 'pip.conf'),
    join(XDG_CONFIG_HOME || join(home, '.config'), 'pip', 'pip.conf'),
    PIP_CONFIG_FILE,
  ].filter((path) => path && existsSync(path))
}

function readConfiguration(path) {
  const entries = readFileSync(path, 'utf8').matchAll(/^\s*(index-url|cert|proxy)\s*[=:]\s*(\S+)\s*$/gm)
  return Object.fromEntries([...entries].map(([, key, value]) => [key, value]))
}

/** The older form of an index [packaging.python.org, Simple repository API]. */
function readAnchors(html) {
  return [...html.matchAll(/<a\s[^>]*href="([^"]+)"[^>]*>\s*([^<]+?)\s*<\/a>/g)].map(([, href, filename]) => ({
    filename,
    url: href.replaceAll('&amp;', '&'),
  }))
}
