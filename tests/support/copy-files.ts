import { cpSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const LINKED = ['node_modules', '.cache']
const EXCLUDED = ['.data', '.git', 'dist', 'logs', 'coverage', '.installing', '.starting']

/** Copies the project's files to a new folder. Installed packages and servers are linked, not copied. */
export function copyFiles(folder: string, options: { without: string[] }): void {
  const excluded = new Set([...LINKED, ...EXCLUDED, ...options.without])
  mkdirSync(folder, { recursive: true })
  for (const name of readdirSync(root)) if (!excluded.has(name)) cpSync(join(root, name), join(folder, name), { recursive: true })
  for (const name of LINKED) symlinkSync(join(root, name), join(folder, name))
}
