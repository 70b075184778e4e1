import { cpSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const LINKED = ['node_modules', '.cache']
const LEFT_OUT = ['.data', '.git', 'dist', 'logs', 'coverage', '.installing', '.starting']

/** Copies the project's files to a new folder, which shares the installed packages and servers. */
export function copyFiles(folder: string, options: { without: string[] }): void {
  const leftOut = new Set([...LINKED, ...LEFT_OUT, ...options.without])
  mkdirSync(folder, { recursive: true })
  for (const name of readdirSync(root)) if (!leftOut.has(name)) cpSync(join(root, name), join(folder, name), { recursive: true })
  for (const name of LINKED) symlinkSync(join(root, name), join(folder, name))
}
