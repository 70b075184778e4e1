// Runs one preparation command and reports it and its duration on stderr. stdout is reserved for the command that follows.
import { spawn } from 'node:child_process'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** Only the message is printed, without a stack. */
export class StepFailed extends Error {}

const running = new Set()
const MAX_OUTPUT = 4000
const PROGRESS_MS = 15_000

/** @throws {StepFailed} with the end of the command's output */
export async function run(title, file, ...args) {
  return runWith({}, title, file, ...args)
}

export async function runWith(env, title, file, ...args) {
  const startedAt = Date.now()
  console.error(`  … ${title}`)
  const child = spawn(file, args, { cwd: root, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output = (output + text).slice(-MAX_OUTPUT)))
  const ended = new Promise((resolve) => {
    child.once('error', (error) => resolve({ problem: error.message }))
    child.once('close', (code, signal) => resolve(code === 0 ? {} : { problem: signal ?? `exit code ${code}` }))
  })
  const step = { child, ended }
  running.add(step)
  const alive = setInterval(() => console.error(`  … still ${title} (${Math.round((Date.now() - startedAt) / 1000)} s)`), PROGRESS_MS)
  const { problem } = await ended
  clearInterval(alive)
  running.delete(step)
  if (problem) throw new StepFailed(`${title} failed (${problem})${output.trim() ? `:\n${output.trim()}` : ''}`)
  console.error(`  ✔ ${title} (${((Date.now() - startedAt) / 1000).toFixed(1)} s)`)
}

/**
 * As {@link run}, for work of this process.
 * @param work gets a function that reports progress
 */
export async function step(title, work) {
  const began = Date.now()
  console.error(`  … ${title}`)
  const result = await work((progress) => console.error(`  … ${title}: ${progress}`))
  console.error(`  ✔ ${title} (${((Date.now() - began) / 1000).toFixed(1)} s)`)
  return result
}

/** Stops all running commands. Resolves once they have ended. */
export async function stopSteps() {
  const all = [...running]
  for (const { child } of all) child.kill('SIGTERM')
  await Promise.all(all.map(({ ended }) => ended))
}
