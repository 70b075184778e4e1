// Plants mistakes in copies of the project, one at a time per copy, and runs the tests that must detect them.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Servers } from '../../dev/stack.ts'
import { copyFiles } from '../support/copy-files.ts'
import type { Mistake } from './mistake.ts'

/** `broken`: the tests could not be run with the mistake, for example because the code does not compile. */
export interface Result {
  mistake: Mistake
  outcome: 'noticed' | 'survived' | 'broken'
  failed: string[]
}

interface TestRun {
  passed: { file: string; name: string }[]
  failed: string[]
  /** Test files that failed as a whole, for example when a module throws while it is loaded. */
  unusable: string[]
}

/** A copy of the project in which Jest runs tests. */
interface Place {
  folder: string
  servers: Servers
  /** How many test files run at the same time. */
  workers: number
}

interface JestOutput {
  testResults: { name: string; message: string; assertionResults: { fullName: string; status: string }[] }[]
}

/** Because of a mistake, a test may wait forever. Without a mistake, each of these tests ends in a fraction of this time. */
const TEST_TIMEOUT_MS = 90_000
/** The longest run of the tests of one mistake: a mistake can cause an endless loop. */
const MOST_MS = 10 * 60_000

/** Returns what is wrong with the list: a text that does not occur exactly once, a file that does not exist, a mistake listed twice. */
export function faultsOf(mistakes: Mistake[], root: string): string[] {
  const seen = new Set<string>()
  return mistakes.flatMap(({ breaks, file, text, replacement, tests }) => {
    const edit = JSON.stringify([file, text, replacement])
    if (seen.has(edit)) return [`${file}: the mistake ${JSON.stringify(breaks)} is listed twice.`]
    seen.add(edit)
    const missing = [file, ...tests].filter((path) => !existsSync(join(root, path)))
    if (missing.length > 0) return missing.map((path) => `${path} does not exist.`)
    const occurrences = readFileSync(join(root, file), 'utf8').split(text).length - 1
    if (occurrences !== 1) return [`${file} contains ${JSON.stringify(text)} ${occurrences} times, not once.`]
    return text === replacement ? [`${file}: ${JSON.stringify(text)} is replaced by itself.`] : []
  })
}

/**
 * Runs the tests of each mistake without and with it.
 *
 * @param servers the servers that all tests use
 * @param copies the number of copies of the project in which mistakes are tested concurrently
 * @throws Error if tests fail without a mistake, or if no test has the name that a mistake expects
 */
export async function runMistakes(
  mistakes: Mistake[],
  { home, servers, copies, report }: { home: string; servers: Servers; copies: number; report: (result: Result) => void },
): Promise<Result[]> {
  const folders = Array.from({ length: copies }, (_, index) => join(home, `copy-${index + 1}`))
  for (const folder of folders) copyFiles(folder, { without: [] })
  for (const isBuilt of [true, false]) {
    const group = mistakes.filter(({ tests }) => needsBuild(tests) === isBuilt)
    if (group.length > 0) await checkWithoutMistakes(group, { folder: folders[0]!, servers, workers: copies })
  }
  const results: Result[] = []
  const waiting = [...mistakes]
  const workIn = async (folder: string): Promise<void> => {
    for (let mistake = waiting.shift(); mistake; mistake = waiting.shift()) {
      const result = await tryMistake(mistake, { folder, servers, workers: 1 })
      results.push(result)
      report(result)
    }
  }
  await Promise.all(folders.map(workIn))
  return results
}

async function checkWithoutMistakes(mistakes: Mistake[], place: Place): Promise<void> {
  const tests = [...new Set(mistakes.flatMap((mistake) => mistake.tests))]
  const names = new Set(mistakes.map(({ only }) => `(${only})`))
  const run = await runTests(tests, [...names].join('|'), place)
  if (!run) throw new Error('The tests cannot be run in a copy of the project.')
  const failures = [...run.failed, ...run.unusable]
  if (failures.length > 0) throw new Error(`Tests fail without a mistake: ${failures.join('; ')}`)
  const hasTest = ({ only, tests: files }: Mistake): boolean =>
    run.passed.some(({ file, name }) => files.some((test) => file.endsWith(test)) && new RegExp(only).test(name))
  const unmatched = mistakes.filter((mistake) => !hasTest(mistake))
  if (unmatched.length > 0) throw new Error(`No test has a name like: ${unmatched.map(({ only }) => only).join('; ')}`)
}

async function tryMistake(mistake: Mistake, place: Place): Promise<Result> {
  const path = join(place.folder, mistake.file)
  const code = readFileSync(path, 'utf8')
  writeFileSync(
    path,
    code.replace(mistake.text, () => mistake.replacement),
  )
  const run = await runTests(mistake.tests, mistake.only, place).finally(() => writeFileSync(path, code))
  if (!run) return { mistake, outcome: 'broken', failed: [] }
  const failed = [...run.failed, ...run.unusable]
  return { mistake, outcome: failed.length > 0 ? 'noticed' : 'survived', failed }
}

/** Tests of the other folders load the modules themselves. A test that nevertheless starts a process fails without a mistake, too. */
function needsBuild(tests: string[]): boolean {
  return tests.some((test) => !/^tests\/(unit|storage)\//.test(test))
}

/** Returns undefined if Jest did not get as far as running the tests. */
async function runTests(tests: string[], only: string, { folder, servers, workers }: Place): Promise<TestRun | undefined> {
  const output = join(folder, 'jest-output.json')
  rmSync(output, { force: true })
  const node = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', 'node_modules/jest/bin/jest.js']
  // Because of a mistake, a connection or a timer may stay open after the tests.
  const limits = [`--maxWorkers=${workers}`, `--testTimeout=${TEST_TIMEOUT_MS}`, '--forceExit']
  const selection = ['--testNamePattern', only, '--runTestsByPath', ...tests]
  const args = [...node, ...limits, '--json', `--outputFile=${output}`, ...selection]
  const env = { ...process.env, TEST_SERVERS: JSON.stringify(servers), ...(!needsBuild(tests) && { TEST_BUILD: 'none' }) }
  await once(spawn(process.execPath, args, { cwd: folder, env, stdio: 'ignore', timeout: MOST_MS, killSignal: 'SIGKILL' }), 'close')
  if (!existsSync(output)) return undefined
  const { testResults } = JSON.parse(readFileSync(output, 'utf8')) as JestOutput
  const cases = testResults.flatMap(({ name: file, assertionResults }) => assertionResults.map((each) => ({ ...each, file })))
  const passed = cases.filter(({ status }) => status === 'passed').map(({ file, fullName }) => ({ file, name: fullName }))
  const failed = cases.filter(({ status }) => status === 'failed').map(({ fullName }) => fullName)
  const unusable = testResults.filter((file) => file.assertionResults.length === 0).map((file) => `${file.name}: ${file.message}`)
  return { passed, failed, unusable }
}
