// Runs deploy/image/prune-packages.mjs on small projects that have packages of the real names.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'

const PROJECT = join(import.meta.dirname, '../..')
const SCRIPT = join(PROJECT, 'deploy/image/prune-packages.mjs')
const BUNDLER = ['webpack', 'swc-loader', '@swc/core', 'memfs', 'unionfs', 'source-map-loader']
const CORE = `${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-unknown-linux-gnu`

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'image-packages-'))
  addFile('node_modules/.bin/some-program')
  addFile('node_modules/.package-lock.json')
})
afterEach(() => rmSync(root, { recursive: true }))

test('When the runtime image is built, then it keeps what the project needs, and neither Prisma’s command nor what only its tools need', () => {
  addProject(['prisma', '@prisma/schema-engine-wasm', 'express', '@temporalio/worker', '@prisma/client'])
  addPackage('prisma', ['effect', 'shared'])
  addPackage('express', ['shared', '@types/node'])
  for (const name of ['@prisma/schema-engine-wasm', 'effect', 'shared', '@types/node']) addPackage(name)
  addPackage('express/node_modules/shared')
  addPackage('shared/node_modules/effect')
  expect(prune('runtime')).toEqual({ status: 0, output: '' })
  expect(kept('express', 'express/node_modules/shared', '@temporalio/worker', '@prisma/client')).toEqual([true, true, true, true])
  expect(kept('prisma', '@prisma/schema-engine-wasm', 'effect', 'shared', '@types/node', '@types')).toEqual(Array(6).fill(false))
})

test('When the runtime image is built, then the bundler that Temporal’s worker imports is an empty package', () => {
  addProject(['@temporalio/worker', '@prisma/client'])
  prune('runtime')
  expect(kept('swc-loader', '@swc/core', 'source-map-loader')).toEqual([false, false, false])
  const load = createRequire(join(root, 'node_modules/@temporalio/worker/index.js'))
  for (const name of ['webpack', 'memfs', 'unionfs']) expect(load(name)).toEqual({})
})

test('When the runtime image is built, then it has the native core of its platform, the query compiler of PostgreSQL, and no types or source maps', () => {
  addProject(['@temporalio/worker', '@prisma/client'])
  const needed = [`@temporalio/core-bridge/releases/${CORE}/index.node`, '@prisma/client/runtime/client.mjs']
  const unused = [
    '@temporalio/core-bridge/releases/x86_64-pc-windows-msvc/index.node',
    '@prisma/client/runtime/query_compiler_fast_bg.mysql.mjs',
  ]
  const types = ['index.d.ts', 'index.d.mts', 'index.js.map', 'source/index.ts'].map((file) => `@temporalio/worker/${file}`)
  for (const file of [...unused, ...types]) addFile(`node_modules/${file}`)
  prune('runtime')
  expect(needed.filter((file) => !isThere(file))).toEqual([])
  expect([...unused, ...types].filter((file) => isThere(file))).toEqual([])
})

test('When the release image is built, then it has every package that migrations import', () => {
  const imported = importedPackages(['cli/migrate.ts', 'prisma.config.ts', 'prisma/schema-engine/wasm-schema-engine.mjs'])
  expect(imported).toEqual(expect.arrayContaining(['prisma', 'pg', '@prisma/schema-engine-wasm']))
  addProject([...imported, '@temporalio/worker'])
  for (const name of imported) addPackage(name)
  expect(prune('release')).toEqual({ status: 0, output: '' })
  expect(imported.filter((name) => !kept(name)[0])).toEqual([])
  expect(kept('@temporalio/worker', '@temporalio')).toEqual([false, false])
})

test('When a package that is needed is absent, then no image is built, and the message names both', () => {
  addProject(['express', '@temporalio/worker', '@prisma/client'])
  addPackage('express', ['qs'])
  expect(prune('runtime')).toEqual({ status: 1, output: expect.stringMatching(/^qs is missing, which express needs/) })
})

test('When Temporal’s worker does not depend on the bundler any more, then no image is built', () => {
  addProject(['@temporalio/worker', '@prisma/client'])
  addPackage('@temporalio/worker', ['@temporalio/core-bridge', 'rspack'])
  expect(prune('runtime')).toEqual({ status: 1, output: expect.stringMatching(/^@temporalio\/worker does not depend on webpack any more/) })
})

test('When the query compiler of PostgreSQL has another name, then no image is built', () => {
  addProject(['@temporalio/worker', '@prisma/client'])
  rmSync(join(root, 'node_modules/@prisma/client/runtime/query_compiler_fast_bg.postgresql.mjs'))
  expect(prune('runtime')).toEqual({ status: 1, output: expect.stringMatching(/^@prisma\/client\/runtime has no .*postgresql/) })
})

/** A project with these dependencies, with Temporal's and Prisma's packages in place. */
function addProject(dependencies: string[]): void {
  writeFileSync(join(root, 'package.json'), JSON.stringify({ name: 'project', dependencies: versions(dependencies) }))
  addPackage('@temporalio/worker', ['@temporalio/core-bridge', ...BUNDLER])
  for (const name of ['@temporalio/core-bridge', '@prisma/client', ...BUNDLER]) addPackage(name)
  addFile(`node_modules/@temporalio/core-bridge/releases/${CORE}/index.node`)
  addFile('node_modules/@prisma/client/runtime/client.mjs')
  addFile('node_modules/@prisma/client/runtime/query_compiler_fast_bg.postgresql.mjs')
}

function addPackage(path: string, dependencies: string[] = []): void {
  const name = path.split('node_modules/').at(-1)!
  addFile(`node_modules/${path}/package.json`, JSON.stringify({ name, dependencies: versions(dependencies) }))
}

function addFile(path: string, text = ''): void {
  mkdirSync(join(root, dirname(path)), { recursive: true })
  writeFileSync(join(root, path), text)
}

function versions(names: string[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, '1.0.0']))
}

function prune(image: string): { status: number | null; output: string } {
  const { status, stderr } = spawnSync(process.execPath, [SCRIPT, image], { cwd: root, encoding: 'utf8' })
  return { status, output: stderr }
}

function kept(...names: string[]): boolean[] {
  return names.map((name) => isThere(name))
}

function isThere(path: string): boolean {
  return existsSync(join(root, 'node_modules', path))
}

/** The packages that these files and the files that they import load. */
function importedPackages(files: string[]): string[] {
  const packages = new Set<string>()
  const seen = new Set<string>()
  const read = (file: string): void => {
    if (seen.has(file)) return
    seen.add(file)
    for (const [, from] of readFileSync(join(PROJECT, file), 'utf8').matchAll(/^(?:import|export) (?!type )(?:[^']* from )?'([^']+)'/gm)) {
      if (from!.startsWith('.')) read(join(dirname(file), from!))
      else if (!from!.startsWith('node:')) packages.add(/^(?:@[^/]+\/)?[^/]+/.exec(from!)![0])
    }
  }
  for (const file of files) read(file)
  return [...packages]
}
