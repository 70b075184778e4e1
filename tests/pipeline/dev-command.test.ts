// `npm run dev` as a developer uses it.
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { eventually } from '../support/eventually.ts'
import { copyProject, type DevCommand, type ProjectCopy } from '../support/project-copy.ts'

/** Settings of a real installation. Processes of this command must not read them. */
const POISON = `NODE_ENV=production
DATABASE_URL=postgresql://caly@127.0.0.1:1/real
MIGRATION_DATABASE_URL=postgresql://caly@127.0.0.1:1/real
TEMPORAL_ADDRESS=127.0.0.1:1
WASABI_ENDPOINT=http://127.0.0.1:1
EXOTEL_API_BASE_URL=http://127.0.0.1:1
WEBHOOK_BODY_DAYS=not-a-number
`

let project: ProjectCopy
beforeAll(() => {
  project = copyProject()
  writeFileSync(join(project.folder, '.env'), POISON)
})
afterAll(() => project?.remove())

async function up(): Promise<DevCommand> {
  const command = project.dev()
  await eventually(
    'the stack to be ready',
    async () => {
      if (command.child.exitCode !== null) throw new Error(`It ended: ${command.output()}`)
      return command.output().includes('The stack keeps running')
    },
    120_000,
  )
  expect(command.output()).toMatch(/Stored: 294048 bytes/)
  expect(command.output()).not.toMatch(/could not be shown/)
  return command
}

async function done(...args: string[]): Promise<{ code: number | null; output: string }> {
  const command = project.dev(args)
  return { code: await command.ended, output: command.output() }
}

async function interrupted({ child, output, ended }: DevCommand): Promise<void> {
  child.kill('SIGINT')
  expect(await ended).toBe(130)
  expect(output()).toMatch(/Everything has stopped/)
  await project.noneLeft()
}

test('When the stack is started, stopped and started again, then each start shows a stored call, and each stop ends all processes', async () => {
  await interrupted(await up())
  await interrupted(await up())
})

test('When the stack is running, then a second terminal can make calls, and gets an error for a wrong command', async () => {
  const running = await up()
  const calls = await done('call', '--fault', 'cut', '--count', '2')
  expect(calls.code).toBe(0)
  expect(
    calls.output
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { asDeserved: boolean }).asDeserved),
  ).toEqual([true, true])
  expect(await done()).toMatchObject({ code: 0, output: expect.stringContaining('already running') })
  expect(await done('reset')).toMatchObject({
    code: 1,
    output: expect.stringMatching(/^The stack is running \(pid \d+\): stop it with Ctrl-C first\.\n$/),
  })
  expect(await done('call', '--fault', 'nonsense')).toMatchObject({ code: 1, output: expect.stringMatching(/^Unknown fault "nonsense"/) })

  running.child.kill('SIGKILL')
  await project.noneLeft()
  const { code, output } = await done('--once')
  expect(code).toBe(0)
  const { sha256, expectedSha256 } = JSON.parse(output.trim().split('\n').at(-1)!) as { sha256: string; expectedSha256: string }
  expect(sha256).toBe(expectedSha256)
  expect(await done('reset')).toMatchObject({ code: 0, output: expect.stringContaining('.data/ is empty') })
  expect(readdirSync(join(project.folder, '.data'))).toEqual([])
  await project.noneLeft()
})

test.each([
  [{ PORT: 'abc' }, /PORT/],
  [{ PORT: '99999' }, /PORT/],
  [{ DATABASE_URL: 'garbage' }, /DATABASE_URL/],
  [{ DATABASE_URL: 'postgresql://nobody:x@127.0.0.1:1/x' }, /DATABASE_URL/],
  [{ TEMPORAL_ADDRESS: '127.0.0.1:1' }, /TEMPORAL_ADDRESS/],
  [{ WASABI_ENDPOINT: 'http://127.0.0.1:1', WASABI_ACCESS_KEY: 'k', WASABI_SECRET_KEY: 's' }, /WASABI_ENDPOINT/],
  [{ RECORDING_WAIT_SCALE: 'abc' }, /RECORDING_WAIT_SCALE/],
])('When %j is set, then the command prints one sentence about it and exits with 1', async (wrong, named) => {
  const command = project.dev(['--once'], wrong)
  const code = await command.ended
  const output = command.output()
  expect(code).toBe(1)
  const last = output
    .trim()
    .split('\n')
    .filter((line) => !/^ {2}✔|^Starting/.test(line))
  expect(last).toEqual([expect.stringMatching(named)])
  expect(output).not.toMatch(/\n {4}at /)
  await project.noneLeft()
})
