// Deletes from node_modules what the processes of an image never load: two thirds of `npm ci --omit=dev`. npm installs a package
// with all of its dependencies, but Prisma's CLI is needed by migrations only, and Temporal's worker package depends on a bundler
// although the build has bundled the workflow code already.
//   node prune-packages.mjs runtime    for API, worker and commands
//   node prune-packages.mjs release    for migrations
// Runs in the folder of package.json, after `npm ci --omit=dev`.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'

const MIGRATION_TOOLS = ['prisma', '@prisma/schema-engine-wasm']
/** What dist/cli/migrate.js, prisma.config.ts and prisma/schema-engine/ import; tests/unit/image-packages.test.ts compares. */
const MIGRATION_PACKAGES = [
  ...MIGRATION_TOOLS,
  '@prisma/adapter-pg',
  '@prisma/driver-adapter-utils',
  '@zxcvbn-ts/core',
  '@zxcvbn-ts/language-common',
  'ipaddr.js',
  'pg',
  'tldts',
  'zod',
]
/** Dependencies that a package needs only to bundle workflow code. */
const UNUSED = { '@temporalio/worker': ['webpack', 'swc-loader', '@swc/core', 'memfs', 'unionfs', 'source-map-loader'] }
/** @temporalio/worker imports these when it is loaded, and uses them only to bundle: an empty package is enough. */
const STUBS = ['webpack', 'memfs', 'unionfs']
const NATIVE_CORE = `${{ x64: 'x86_64', arm64: 'aarch64' }[process.arch]}-unknown-linux-gnu`
/** For each folder, patterns of the entries that are needed: the core of this platform, the query compiler of PostgreSQL. */
const NEEDED_ENTRIES = {
  '@temporalio/core-bridge': [/^(?!sdk-core$)/], // everything but the sources in Rust
  '@temporalio/core-bridge/releases': [new RegExp(`^${NATIVE_CORE}$`)],
  '@prisma/client/runtime': [/^client\.m?js$/, /^query_compiler_fast_bg\.postgresql\..*mjs$/],
}
/** Node loads no TypeScript from node_modules. */
const UNUSED_FILES = /\.(?:[cm]?ts|map)$/

const root = process.cwd()
const modules = join(root, 'node_modules')
const target = process.argv[2]
const { name: project, dependencies } = readPackage(root)
const roots = { runtime: Object.keys(dependencies).filter((name) => !MIGRATION_TOOLS.includes(name)), release: MIGRATION_PACKAGES }[target]
if (!roots) fail('Name the image: prune-packages.mjs runtime, or prune-packages.mjs release')

const needed = new Set()
for (const name of roots) visit(requirePackage(name, root))
deletePackages(modules)
for (const file of readdirSync(modules, { recursive: true })) if (UNUSED_FILES.test(file)) remove(join(modules, file))
if (target === 'runtime') {
  for (const [folder, patterns] of Object.entries(NEEDED_ENTRIES)) deleteOtherEntries(folder, patterns)
  for (const name of STUBS) writeStub(name)
}
for (const link of readdirSync(join(modules, '.bin'))) if (!existsSync(join(modules, '.bin', link))) remove(join(modules, '.bin', link))
remove(join(modules, '.package-lock.json')) // lists packages that are gone

/** Marks a package and everything that it depends on. Skips peer dependencies: the package that uses them lists them itself. */
function visit(folder) {
  if (needed.has(folder)) return
  needed.add(folder)
  const { name, dependencies = {}, optionalDependencies = {} } = readPackage(folder)
  const unused = UNUSED[name] ?? []
  for (const each of unused) if (!dependencies[each]) fail(`${name} does not depend on ${each} any more: correct UNUSED`)
  for (const each of Object.keys({ ...dependencies, ...optionalDependencies })) {
    if (unused.includes(each) || each.startsWith('@types/')) continue
    const found = findPackage(each, folder)
    if (found) visit(found)
    else if (!optionalDependencies[each]) requirePackage(each, folder)
  }
}

/** As Node resolves it: the nearest node_modules on the way up. */
function findPackage(name, from) {
  const folder = join(from, 'node_modules', name)
  if (existsSync(join(folder, 'package.json'))) return folder
  return from === root ? undefined : findPackage(name, dirname(from))
}

function requirePackage(name, from) {
  return (
    findPackage(name, from) ?? fail(`${name} is missing, which ${relative(modules, from) || project} needs: run npm ci --omit=dev first`)
  )
}

function deletePackages(folder) {
  for (const entry of existsSync(folder) ? readdirSync(folder) : []) {
    const path = join(folder, entry)
    if (entry.startsWith('.')) continue
    if (entry.startsWith('@') && basename(folder) === 'node_modules') deletePackages(path)
    else if (needed.has(path)) deletePackages(join(path, 'node_modules'))
    else remove(path)
  }
  if (basename(folder).startsWith('@') && readdirSync(folder).length === 0) remove(folder)
}

function deleteOtherEntries(folder, patterns) {
  const entries = existsSync(join(modules, folder)) ? readdirSync(join(modules, folder)) : []
  for (const pattern of patterns) {
    if (!entries.some((entry) => pattern.test(entry))) fail(`${folder} has no ${pattern}: correct NEEDED_ENTRIES`)
  }
  for (const entry of entries) if (!patterns.some((pattern) => pattern.test(entry))) remove(join(modules, folder, entry))
}

function writeStub(name) {
  const folder = join(modules, name)
  if (existsSync(folder)) fail(`${name} is a dependency of another package, so it cannot be an empty one: correct UNUSED and STUBS`)
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name, version: '0.0.0', main: 'index.js' }))
  writeFileSync(join(folder, 'index.js'), 'module.exports = {}\n')
}

function readPackage(folder) {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
}

function remove(path) {
  rmSync(path, { recursive: true, force: true })
}

function fail(message) {
  console.error(`${message}.`)
  process.exit(1)
}
