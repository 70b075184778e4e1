// CPU time and memory of a process and its children, read from /proc. So `npm run bench` needs Linux.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'

/** The unit of the times in /proc/PID/stat. It is 100 per second on every Linux that Node supports. */
const MS_PER_TICK = 10

/**
 * CPU time in ms since the start of the process, including its children, also those that have ended (PostgreSQL has a process for
 * each connection).
 * @returns 0 if the process has ended
 */
export function cpuMsOf(pid: number): number {
  const stat = readOrUndefined(`/proc/${pid}/stat`)
  if (stat === undefined) return 0
  const [user, system, childrenUser, childrenSystem] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 15)
    .map(Number) as [number, number, number, number]
  const own = (user + system + childrenUser + childrenSystem) * MS_PER_TICK
  return own + childrenOf(pid).reduce((sum, child) => sum + cpuMsOf(child), 0)
}

/** Resident memory of the process in MB. */
export function residentMb(pid: number): number {
  return statusMb(pid, 'VmRSS')
}

/** The highest resident memory in MB since the start of the process, or since {@link resetPeak}. */
export function peakMb(pid: number): number {
  return statusMb(pid, 'VmHWM')
}

export function resetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5')
}

function statusMb(pid: number, field: string): number {
  const kilobytes = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Math.round(Number(kilobytes) / 1024)
}

function childrenOf(pid: number): number[] {
  const tasks = listOrEmpty(`/proc/${pid}/task`)
  const children = tasks.map((task) => readOrUndefined(`/proc/${pid}/task/${task}/children`) ?? '')
  return children.join(' ').split(' ').filter(Boolean).map(Number)
}

function readOrUndefined(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined // the process has ended
  }
}

function listOrEmpty(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}
