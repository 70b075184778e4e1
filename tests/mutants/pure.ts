// `npm run test:mutants:pure [-- GROUP [MODULE]]`: Stryker changes each expression of the pure modules. The tests must detect 90 % of the
// changes in each module. Prints the undetected changes, then JSON with the scores as its last line.
// Needs no servers and 2 GB of memory. Takes about half an hour on two idle cores, most of it for audio. Tests that exceed `timeoutMS` count
// as detections.
import { rmSync } from 'node:fs'
import { relative } from 'node:path'
import { Stryker } from '@stryker-mutator/core'

/** Modules whose tests do not need the corpus, which is slow. */
const AUDIO_PARTS = [
  'forward-file',
  'mpeg',
  'mpeg-frame',
  'mpeg-info',
  'signatures',
  'mark',
  'tags',
  'text',
  'wav-format',
  'message',
  'words',
].map((name) => `recordings/audio/${name}.ts`)
/** The mutants of a module run only with the tests of its group, because every test that imports a module covers its constants. */
const GROUPS = [
  { name: 'retry', mutate: ['workflows/retry-state.ts'], tests: ['retry-state'] },
  { name: 'time', mutate: ['exotel/time.ts', 'exotel/retry-after.ts'], tests: ['time'] },
  { name: 'links', mutate: ['exotel/url-policy.ts', 'exotel/source-url.ts'], tests: ['links', 'source-url'] },
  {
    name: 'decode-fields',
    mutate: ['exotel/decode-fields.ts'],
    tests: ['decode-fields', 'decode-fields-encodings', 'repeated-fields', 'call-event'],
  },
  {
    name: 'audio parts',
    mutate: AUDIO_PARTS,
    tests: ['forward-file', 'audio-headers', 'audio-marks', 'audio-mpeg', 'audio-messages', 'audio-words'],
  },
  {
    name: 'audio files',
    mutate: ['recordings/audio/*.ts', ...AUDIO_PARTS.map((path) => `!${path}`)],
    tests: ['audio', 'audio-corpus'],
  },
]
const LEAST_PERCENT = 90
const tempDirName = `.data/stryker-${process.pid}`

interface Score {
  module: string
  noticed: number
  /** Those of `noticed` whose tests did not end in time. */
  timedOut: number
  unnoticed: number
  percent: number
}

const [wanted, onlyModule] = process.argv.slice(2)
const scores: Score[] = []
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
process.once('exit', () => rmSync(tempDirName, { recursive: true, force: true }))
for (const group of GROUPS) {
  if (wanted === undefined || group.name === wanted)
    scores.push(...(await scoresOf(onlyModule === undefined ? group : { ...group, mutate: [onlyModule] })))
}
const tooLow = scores.filter(({ percent }) => percent < LEAST_PERCENT)
console.log(JSON.stringify({ ok: scores.length > 0 && tooLow.length === 0, scores }))
process.exitCode = scores.length > 0 && tooLow.length === 0 ? 0 : 1

async function scoresOf({ mutate, tests }: (typeof GROUPS)[number]): Promise<Score[]> {
  const results = await new Stryker(options(mutate, tests)).runMutationTest()
  const counts = new Map<string, Pick<Score, 'noticed' | 'timedOut' | 'unnoticed'>>()
  for (const { fileName, status } of results) {
    const count = counts.get(fileName) ?? { noticed: 0, timedOut: 0, unnoticed: 0 }
    if (status === 'Killed' || status === 'Timeout') count.noticed += 1
    else if (status !== 'Ignored') count.unnoticed += 1
    if (status === 'Timeout') count.timedOut += 1
    counts.set(fileName, count)
  }
  return [...counts].map(([path, count]) => ({
    module: relative(process.cwd(), path),
    ...count,
    percent: Math.floor((100 * count.noticed) / (count.noticed + count.unnoticed)),
  }))
}

function options(mutate: string[], tests: string[]): ConstructorParameters<typeof Stryker>[0] {
  return {
    mutate,
    testRunner: 'jest',
    jest: {
      projectType: 'custom',
      configFile: 'jest.pure.config.js',
      config: { testMatch: tests.map((name) => `<rootDir>/tests/unit/${name}.test.ts`) },
      enableFindRelatedTests: false,
    },
    testRunnerNodeArgs: ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'],
    coverageAnalysis: 'perTest',
    concurrency: 2,
    timeoutMS: 30_000, // so that slow tests of a busy machine do not count as detections
    // Stryker would rewrite the file with functions that TypeScript 7 lacks. The file is not needed: swc compiles the tests.
    tsconfigFile: 'absent',
    ignorePatterns: ['.data', '.cache', '.installing', 'dist', 'logs'],
    tempDirName,
    reporters: ['clear-text', 'progress-append-only'],
    clearTextReporter: { allowColor: false, reportTests: false, skipFull: true },
  }
}
