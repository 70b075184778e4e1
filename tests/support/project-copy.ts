// Copies of the project for tests of `npm run dev`. A copy behaves like a clone with installed packages and servers.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { copyFiles } from './copy-files.ts'
import { eventually } from './eventually.ts'
import { home, uniqueName } from './servers.ts'

export interface DevCommand {
  child: ChildProcess
  /** The output so far: stdout and stderr. */
  output: () => string
  stdout: () => string
  ended: Promise<number | null>
}

export interface ProjectCopy {
  folder: string
  /** Starts `npm run dev` without npm, in its own process group. */
  dev: (args?: string[], env?: NodeJS.ProcessEnv) => DevCommand
  /** Resolves when all processes from the copy have ended. */
  noneLeft: () => Promise<unknown>
  remove: () => Promise<void>
}

export function copyProject(): ProjectCopy {
  const folder = join(home, uniqueName('a copy with spaces'))
  copyFiles(folder, { without: ['tests'] })
  const noneLeft = (): Promise<unknown> =>
    eventually('all processes to end', async () => spawnSync('pgrep', ['-f', `${folder}/`]).status === 1, 30_000)
  const children: ChildProcess[] = []
  return {
    folder,
    dev: (args = [], env = {}) => {
      const { TEST_STACK: _, NO_ENV_FILE: __, ...usual } = process.env // without the variables of the test run
      const program = ['--import', 'tsx', join(folder, 'dev', 'main.ts'), ...args]
      const child = spawn(process.execPath, program, { cwd: folder, env: { ...usual, ...env }, detached: true })
      children.push(child)
      let text = ''
      let stdout = ''
      child.stdout.on('data', (bytes: Buffer) => (stdout += bytes.toString()))
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => (text += bytes.toString()))
      return { child, output: () => text, stdout: () => stdout, ended: once(child, 'close').then(([code]) => code as number | null) }
    },
    noneLeft,
    async remove() {
      // The reapers are not killed: they stop the servers, also those whose command lines do not contain the folder.
      for (const child of children) child.kill('SIGKILL')
      await noneLeft()
      rmSync(folder, { recursive: true })
    },
  }
}
