import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** @returns the command line of a running process; undefined if there is no such process */
export function commandOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ') || undefined
  } catch {
    const { status, stdout } = spawnSync('ps', ['-p', String(pid), '-o', 'args='], { encoding: 'utf8' })
    return status === 0 ? stdout.trim() : undefined
  }
}
