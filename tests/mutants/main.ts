// `npm run test:mutants [-- TEXT]`: plants each listed mistake (those whose file or description contains TEXT) in a copy of the project
// and runs the tests that must detect it. The last line is JSON. The exit code is 0 only if every mistake is detected.
import { mkdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { Supervisor } from '../../dev/supervisor.ts'
import { CannotStart, runMain } from '../../platform/process.ts'
import { startTestServers } from '../support/start-servers.ts'
import { mistakes } from './list.ts'
import { faultsOf, runMistakes, type Result } from './run.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const home = fileURLToPath(new URL(`../../.data/mutants-${process.pid}`, import.meta.url))
/** More than one, because most tests wait for servers and timers. */
const COPIES_PER_CORE = 2
const MOST_COPIES = 4

runMain(async () => {
  const startedAt = performance.now()
  const [wanted = ''] = process.argv.slice(2)
  const chosen = mistakes.filter(({ file, breaks }) => file.includes(wanted) || breaks.includes(wanted))
  const faults = faultsOf(chosen, root)
  if (faults.length > 0) throw new CannotStart(`The list of mistakes does not match the code:\n${faults.join('\n')}`)
  if (chosen.length === 0) throw new CannotStart(`No mistake's file or description contains ${JSON.stringify(wanted)}.`)
  mkdirSync(home, { recursive: true })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
  const supervisor = new Supervisor(home)
  supervisor.removeAtEnd(home)
  const servers = await startTestServers(supervisor, home)
  const copies = Math.min(MOST_COPIES, COPIES_PER_CORE * availableParallelism())
  const results = await runMistakes(chosen, { home, servers, copies, report }).finally(() => supervisor.stop())
  const those = (outcome: Result['outcome']): string[] =>
    results.filter((result) => result.outcome === outcome).map(({ mistake }) => `${mistake.file}: ${mistake.breaks}`)
  const survived = those('survived')
  const broken = those('broken')
  const seconds = Math.round((performance.now() - startedAt) / 1000)
  console.log(JSON.stringify({ mistakes: results.length, noticed: those('noticed').length, survived, broken, seconds }))
  process.exit(survived.length + broken.length === 0 ? 0 : 1)
})

function report({ mistake, outcome, failed }: Result): void {
  console.log(`${outcome}: ${mistake.file}: ${mistake.breaks}${failed[0] ? ` (${failed[0]})` : ''}`)
}
