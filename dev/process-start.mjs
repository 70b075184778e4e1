import { existsSync, readFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'

/** Indexes of fields of /proc/<pid>/stat after the command name: the state, and the start time in ticks since boot. */
const STATE = 0
const START = 19

/**
 * The start time of a process in letters, digits and "-". Together with the pid it identifies one process: pids are reused, in a
 * container often by the same command.
 * @returns undefined if there is no such process
 */
export function startOf(pid) {
  return existsSync('/proc/self/stat') ? fromProc(pid) : fromPs(pid)
}

function fromProc(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ') // the command name may contain brackets and spaces
    return fields[STATE] === 'Z' ? undefined : fields[START]
  } catch {
    return undefined
  }
}

function fromPs(pid) {
  const env = { ...process.env, LC_ALL: 'C', TZ: 'UTC' }
  const { status, stdout } = spawnSync('ps', ['-p', String(pid), '-o', 'lstart='], { encoding: 'utf8', env })
  return (status === 0 && stdout.trim().replaceAll(/[^A-Za-z0-9]+/g, '-')) || undefined
}
