import { existsSync, readFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'

/** Of the fields of /proc/<pid>/stat behind the command's name: the state, and the start in ticks since the machine's. */
const STATE = 0
const START = 19

/**
 * When a process began, in letters, digits and "-". Together with its number it names one process: numbers are used again, and
 * in a container often by the same command. Undefined where there is no such process.
 */
export function startOf(pid) {
  return existsSync('/proc/self/stat') ? fromProc(pid) : fromPs(pid)
}

function fromProc(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ') // the name itself may contain brackets and blanks
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
