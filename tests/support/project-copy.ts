// Copies of the project in which `npm run dev` runs as it does in a clone, beside which everything is installed.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { copyFiles } from './copy-files.ts'
import { eventually } from './eventually.ts'
import { home, uniqueName } from './servers.ts'

export interface DevCommand {
  child: ChildProcess
  /** stdout and stderr. */
  said: () => string
  stdout: () => string
  ended: Promise<number | null>
}

export interface ProjectCopy {
  folder: string
  /** Starts `npm run dev` without npm, in a process group of its own. */
  dev: (args?: string[], env?: NodeJS.ProcessEnv) => DevCommand
  /** Resolves once whatever was started from the copy has ended. */
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
      const { TEST_STACK: _, NO_ENV_FILE: __, ...usual } = process.env // without what the test run tells its own processes
      const program = ['--import', 'tsx', join(folder, 'dev', 'main.ts'), ...args]
      const child = spawn(process.execPath, program, { cwd: folder, env: { ...usual, ...env }, detached: true })
      children.push(child)
      let text = ''
      let stdout = ''
      child.stdout.on('data', (bytes: Buffer) => (stdout += bytes.toString()))
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => (text += bytes.toString()))
      return { child, said: () => text, stdout: () => stdout, ended: once(child, 'close').then(([code]) => code as number | null) }
    },
    noneLeft,
    async remove() {
      // Not their reapers, which end the servers and processes whose command lines do not name the folder.
      for (const child of children) child.kill('SIGKILL')
      await noneLeft()
      rmSync(folder, { recursive: true })
    },
  }
}
