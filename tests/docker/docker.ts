// Runs Docker's command, each time with a time limit, and ends it when the drills are interrupted.
import { spawn } from 'node:child_process'

interface DockerOptions {
  /** What the command may take. */
  limitMs?: number
  /** Passed to the command besides what it needs to find the daemon. */
  env?: Record<string, string>
  /** `stderr`: what the command prints is shown while it runs, as progress. */
  show?: 'stderr'
}

export type Docker = (args: string[], options?: DockerOptions) => Promise<string>

const LIMIT_MS = 120_000
const SHOWN_ON_FAILURE = 3000
/** Settings of the project in the environment of whoever runs the drills must not reach the containers. */
const NEEDED_BY_DOCKER = /^(?:PATH|HOME|USER|TMPDIR|XDG_\w+|SSH_\w+|DOCKER_\w+|BUILDKIT_\w+|BUILDX_\w+|\w+_proxy)$/i

/**
 * @param signal ends the running command; later ones fail at once
 * @returns a function that resolves with the trimmed stdout of a command, and throws with its last output if it fails
 */
export function dockerUntil(signal: AbortSignal): Docker {
  return (args, { limitMs = LIMIT_MS, env = {}, show } = {}) =>
    new Promise((resolve, reject) => {
      signal.throwIfAborted()
      const needed = Object.entries(process.env).filter(([name]) => NEEDED_BY_DOCKER.test(name))
      const child = spawn('docker', args, {
        env: { ...Object.fromEntries(needed), ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
        detached: true, // Ctrl-C in a terminal must reach this process only, which cleans up afterwards
        signal,
        timeout: limitMs,
      })
      let [stdout, output] = ['', '']
      child.stdout.on('data', (bytes: Buffer) => (stdout += bytes.toString()))
      for (const stream of [child.stdout, child.stderr]) {
        stream.on('data', (bytes: Buffer) => {
          output = (output + bytes.toString()).slice(-SHOWN_ON_FAILURE)
          if (show) process.stderr.write(bytes)
        })
      }
      child.once('error', reject)
      child.once('close', (code, ended) => {
        if (code === 0) return resolve(stdout.trim())
        const how = ended ? `was ended after ${limitMs / 1000} s at most` : `failed with exit code ${code}`
        reject(new Error(`docker ${args.join(' ')} ${how}:\n${output.trim()}`))
      })
    })
}
