// Plants one forbidden import of each kind, and lets the linter judge it with the project's own configuration.
import { execFile } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from '@jest/globals'

/** What each folder may import; `type` where only types. docs/architecture.md has the same table. */
const ALLOWED: Record<string, Record<string, 'all' | 'type'>> = {
  contracts: {},
  platform: {},
  workflows: { contracts: 'all', activities: 'type' },
  exotel: { contracts: 'all', platform: 'all' },
  calls: { contracts: 'all', exotel: 'type', platform: 'all' },
  recordings: { contracts: 'all', exotel: 'type', platform: 'all' },
  accounts: { platform: 'all' },
  temporal: { contracts: 'all', platform: 'all' },
  relay: { calls: 'all', contracts: 'all', platform: 'all' },
  activities: { accounts: 'all', calls: 'all', contracts: 'all', exotel: 'all', platform: 'all', recordings: 'all', temporal: 'all' },
  api: {
    accounts: 'all',
    calls: 'all',
    contracts: 'all',
    exotel: 'all',
    platform: 'all',
    recordings: 'all',
    relay: 'all',
    temporal: 'all',
  },
  cli: { accounts: 'all', calls: 'all', contracts: 'all', exotel: 'all', platform: 'all', recordings: 'all', temporal: 'all' },
  'testing/simulator': { exotel: 'all', platform: 'all' },
  'testing/chaos': { contracts: 'all', dev: 'all', platform: 'all', 'testing/simulator': 'all' },
  'testing/bench': { contracts: 'all', dev: 'all', platform: 'all', 'testing/simulator': 'all' },
  dev: { cli: 'all', contracts: 'all', platform: 'all', temporal: 'all', 'testing/simulator': 'all', 'testing/chaos': 'all' },
}
const FOLDERS = [...Object.keys(ALLOWED), 'tests']
const PROJECT = join(import.meta.dirname, '../..')

interface Planted {
  file: string
  rejected: boolean
}

/** Each folder imports each other one, by value and by type, from its top and from a folder below it. */
function everyImport(): { planted: Planted; text: string }[] {
  return Object.entries(ALLOWED).flatMap(([from, allowed]) =>
    FOLDERS.filter((to) => to !== from).flatMap((to) =>
      ['', '/below'].flatMap((below) => {
        const target = relative(`${from}${below}`, to)
        const name = `${from}${below}/to-${to.replace('/', '-')}`
        return [
          { planted: { file: `${name}.ts`, rejected: allowed[to] !== 'all' }, text: `import { a } from '${target}/some/file.ts'\na()\n` },
          {
            planted: { file: `${name}-type.ts`, rejected: allowed[to] === undefined },
            text: `import type { A } from '${target}/file.ts'\nexport type B = A\n`,
          },
        ]
      }),
    ),
  )
}

const OTHERS: { planted: Planted; text: string }[] = [
  { planted: { file: 'workflows/node.ts', rejected: true }, text: "import { a } from 'node:fs'\na()\n" },
  { planted: { file: 'workflows/zod.ts', rejected: true }, text: "import { a } from 'zod'\na()\n" },
  { planted: { file: 'contracts/package.ts', rejected: true }, text: "import { a } from 'pg'\na()\n" },
  { planted: { file: 'contracts/node.ts', rejected: true }, text: "import { a } from 'node:fs'\na()\n" },
  { planted: { file: 'activities/worker.ts', rejected: true }, text: "import { a } from '../worker.ts'\na()\n" },
  { planted: { file: 'api/exported.ts', rejected: true }, text: "export { a } from '../activities/a.ts'\n" },
  ...['api', 'cli', 'dev', 'relay', 'testing', 'tests'].map((folder) => ({
    planted: { file: 'worker.ts', rejected: true },
    text: `import { a } from './${folder}/a.ts'\na()\n`,
  })),
  { planted: { file: 'calls/cycle-one.ts', rejected: true }, text: "import type { B } from './cycle-two.ts'\nexport type A = B | 1\n" },
  { planted: { file: 'calls/cycle-two.ts', rejected: true }, text: "import type { A } from './cycle-one.ts'\nexport type B = A | 2\n" },
]

test('When a folder imports what it may not, then the linter rejects it, and nothing else', async () => {
  const root = mkdtempSync(join(tmpdir(), 'import-rules-'))
  try {
    copyFileSync(join(PROJECT, '.oxlintrc.json'), join(root, '.oxlintrc.json'))
    const imports = [...everyImport(), ...OTHERS].map((each, index) => ({ ...each, index }))
    for (const { planted, text } of imports) {
      mkdirSync(join(root, dirname(planted.file)), { recursive: true })
      writeFileSync(join(root, planted.file), text)
    }
    const rejected = await rejectedFiles(root)
    expect(imports.filter(({ planted }) => rejected.has(planted.file) !== planted.rejected).map(({ planted }) => planted)).toEqual([])
    expect(rejected.size).toBeGreaterThan(500)
  } finally {
    rmSync(root, { recursive: true })
  }
})

test('When a folder has code, then the rules say what it may import', () => {
  const code = readdirSync(PROJECT, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !/^\.|^(node_modules|dist|tests|coverage|logs)$/.test(entry.name))
    .flatMap(({ name }) => readdirSync(join(PROJECT, name), { recursive: true, encoding: 'utf8' }).map((file) => `${name}/${file}`))
    .filter((file) => file.endsWith('.ts'))
  const folders = code.map((file) =>
    file
      .split('/')
      .slice(0, file.startsWith('testing/') ? 2 : 1)
      .join('/'),
  )
  expect([...new Set(folders)].toSorted()).toEqual(Object.keys(ALLOWED).toSorted())
})

async function rejectedFiles(root: string): Promise<Set<string>> {
  const lint = promisify(execFile)(join(PROJECT, 'node_modules/.bin/oxlint'), ['--format', 'json', '.'], { cwd: root, maxBuffer: 2 ** 26 })
  const { stdout } = await lint.catch((error: { stdout: string }) => error)
  const { diagnostics } = JSON.parse(stdout) as { diagnostics: { code: string; filename: string }[] }
  return new Set(diagnostics.filter(({ code }) => /no-restricted-imports|no-cycle/.test(code)).map(({ filename }) => filename))
}
