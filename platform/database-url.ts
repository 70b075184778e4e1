// What DATABASE_URL and MIGRATION_DATABASE_URL may contain. pg, with which API and worker connect, and Prisma's schema engine, which
// applies the migrations, interpret URLs differently. A parameter is therefore translated for each of them, or rejected.
// `prisma.config.ts` imports this file. The image contains it without the rest of this folder, so it must not import other files.
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'

/** The message says what is wrong with a URL. It continues the sentence "<setting> …" and never contains the URL. */
class BadDatabaseUrl extends Error {}

/** The options of pg that correspond to a URL. */
export interface ApplicationConnection {
  connectionString: string
  ssl: false | { rejectUnauthorized: true; host: string; ca?: string }
  options: string
}

const FORM = 'must be a PostgreSQL URL such as postgresql://user:password@host:port/database, with special characters percent-encoded'
const ALLOWED = 'schema, sslmode, sslrootcert, options, host'
const TLS_MODES = ['disable', 'require', 'verify-full']
/**
 * The application depends on these settings. The driver expects times in UTC and dates in ISO format. Concurrent serializable
 * transactions fail. Without synchronous commits, an acknowledged webhook may be lost.
 */
const FIXED = {
  timezone: 'TimeZone',
  datestyle: 'DateStyle',
  search_path: 'search_path',
  default_transaction_isolation: 'default_transaction_isolation',
  default_transaction_read_only: 'default_transaction_read_only',
  default_transaction_deferrable: 'default_transaction_deferrable',
  synchronous_commit: 'synchronous_commit',
}
const FIXED_OPTIONS = '-c TimeZone=UTC -c DateStyle=ISO -c search_path=public'

interface DatabaseUrl {
  /** The URL without parameters, except the directory of a socket. */
  server: URL
  isEncrypted: boolean
  /** Absolute path of the certificate with which the server's certificate has to be signed. */
  rootCertificate: string | undefined
  options: string | undefined
}

/**
 * @param defaults settings of PostgreSQL that the URL's `options` may replace. The URL can only shorten `statement_timeout`: the
 *   client stops waiting after a fixed time, and a statement that runs longer would keep its locks without anybody waiting for it.
 * @throws {BadDatabaseUrl}
 */
export function applicationConnection(text: string, defaults: Record<string, number>): ApplicationConnection {
  const { server, isEncrypted, rootCertificate, options } = read(text)
  const own = Object.entries(defaults).map(([name, value]) => `-c ${name}=${value}`)
  const { statement_timeout: longest } = defaults
  const bound = longest !== undefined && isLonger(options, longest) && `-c statement_timeout=${longest}`
  const verified = { rejectUnauthorized: true as const, host: server.hostname.replace(/^\[(.+)\]$/, '$1') }
  const ca = rootCertificate === undefined ? {} : { ca: readFileSync(rootCertificate, 'utf8') }
  return {
    connectionString: server.href,
    ssl: isEncrypted && { ...verified, ...ca },
    options: [...own, options, bound, FIXED_OPTIONS].filter(Boolean).join(' '), // if a setting has two values, the later one applies
  }
}

/**
 * Converts the URL for Prisma's schema engine. Without `sslaccept=strict` the engine accepts every certificate.
 * @throws {BadDatabaseUrl}
 */
export function migrationUrl(text: string): string {
  const { server, isEncrypted, rootCertificate, options } = read(text)
  const url = new URL(server)
  url.searchParams.set('schema', 'public')
  url.searchParams.set('sslmode', isEncrypted ? 'require' : 'disable')
  if (isEncrypted) url.searchParams.set('sslaccept', 'strict')
  if (rootCertificate !== undefined) url.searchParams.set('sslcert', rootCertificate)
  if (options !== undefined) url.searchParams.set('options', options)
  return url.href
}

/** @returns what is wrong with the URL, or undefined */
export function problemOfDatabaseUrl(text: string): string | undefined {
  try {
    read(text)
    return undefined
  } catch (error) {
    if (error instanceof BadDatabaseUrl) return error.message
    throw error
  }
}

function read(text: string): DatabaseUrl {
  const server = parse(text)
  const parameters = new Map<string, string>()
  for (const [name, value] of server.searchParams) {
    if (parameters.has(name)) throw new BadDatabaseUrl(`has the parameter ${shown(name)} twice`)
    parameters.set(name, value)
  }
  const take = (name: string): string | undefined => {
    const value = parameters.get(name)
    parameters.delete(name)
    return value
  }
  assertSchema(take('schema'))
  const isEncrypted = readTlsMode(take('sslmode'))
  const rootCertificate = readRootCertificate(take('sslrootcert'), isEncrypted)
  const options = readOptions(take('options'))
  const host = take('host')
  if (host !== undefined && !host.startsWith('/'))
    throw new BadDatabaseUrl('has the parameter host, which may only name the directory of a socket')
  const [unknown] = parameters.keys()
  if (unknown !== undefined) {
    throw new BadDatabaseUrl(
      `has the parameter ${shown(unknown)}, which the application and the migrations interpret differently: remove it. Allowed are ${ALLOWED}`,
    )
  }
  server.search = host === undefined ? '' : `?host=${encodeURIComponent(host)}`
  return { server, isEncrypted, rootCertificate, options }
}

function parse(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isUsable =
    url &&
    ['postgresql:', 'postgres:'].includes(url.protocol) &&
    url.hostname !== '' &&
    isDecodable(text) &&
    !url.hostname.includes('%') && // a socket's directory, which only pg accepts here
    url.pathname.length > 1 // without a database name, pg and Prisma would use different databases
  if (!isUsable) throw new BadDatabaseUrl(FORM)
  // Clients ignore everything after it, including sslmode.
  if (text.includes('#')) throw new BadDatabaseUrl('has a "#", which ends the URL: encode it as %23')
  return url
}

/** True if all parts can be percent-decoded. Otherwise clients throw errors that contain the password. */
export function isDecodable(url: string): boolean {
  try {
    const { username, password, pathname } = new URL(url)
    for (const part of [username, password, pathname]) decodeURIComponent(part)
    return true
  } catch {
    return false
  }
}

function assertSchema(schema: string | undefined): void {
  if (schema !== undefined && schema !== 'public') {
    throw new BadDatabaseUrl(
      'has the parameter schema with a value other than public: the tables are in the schema public of their database',
    )
  }
}

function readTlsMode(mode: string | undefined): boolean {
  if (mode === undefined) return false
  if (!TLS_MODES.includes(mode)) throw new BadDatabaseUrl(`has the parameter sslmode with a value other than ${TLS_MODES.join(', ')}`)
  return mode !== 'disable'
}

function readRootCertificate(path: string | undefined, isEncrypted: boolean): string | undefined {
  if (path === undefined) return undefined
  if (!isEncrypted) throw new BadDatabaseUrl('has the parameter sslrootcert, which needs sslmode=verify-full')
  try {
    readFileSync(path)
    return resolve(path)
  } catch (error) {
    throw new BadDatabaseUrl(`has the parameter sslrootcert, whose file cannot be read (${(error as NodeJS.ErrnoException).code})`)
  }
}

/** `-c name=value` or `--name=value`. */
const OPTION = /(?:^|\s+)(?:-c\s*|--)([\w.-]+)=((?:\\.|[^\s\\])*)(?=\s|$)/g

function readOptions(options: string | undefined): string | undefined {
  if (options === undefined) return undefined
  const left = options.replaceAll(OPTION, (_, name: string) => {
    const fixed = FIXED[settingName(name) as keyof typeof FIXED]
    if (fixed) throw new BadDatabaseUrl(`has the parameter options with ${fixed}, which the application depends on: remove it`)
    return ''
  })
  if (left.trim() !== '') throw new BadDatabaseUrl('has the parameter options in a form other than "-c name=value"')
  return options.trim() || undefined
}

function settingName(name: string): string {
  return name.replaceAll('-', '_').toLowerCase()
}

/** Whether the options set `statement_timeout` to a longer time, to no limit, or to a value that cannot be compared. */
function isLonger(options: string | undefined, milliseconds: number): boolean {
  const timeout = [...(options ?? '').matchAll(OPTION)].findLast(([, name]) => settingName(name!) === 'statement_timeout')
  if (!timeout) return false
  const [, number, unit = 'ms'] = /^(\d+)(ms|s)?$/.exec(timeout[2]!) ?? []
  const given = Number(number) * (unit === 's' ? 1000 : 1)
  return !(given > 0 && given <= milliseconds) // 0 means no limit
}

/** The part of a password after an unencoded "?" may look like a parameter, so unusual names are not shown. */
function shown(name: string): string {
  return /^[A-Za-z_]{1,40}$/.test(name) ? name : 'with an unusual name'
}
