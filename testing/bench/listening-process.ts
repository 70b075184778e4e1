import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** State of a listening socket in /proc/net/tcp. */
const LISTEN = '0A'

/** @returns the process that listens on this port of 127.0.0.1 or of all addresses */
export function pidListeningOn(port: number): number {
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0')
  const inodes = new Set(
    readFileSync('/proc/net/tcp', 'utf8')
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter(([, local, , state]) => local?.endsWith(`:${hexPort}`) && state === LISTEN)
      .map((fields) => `socket:[${fields[9]}]`),
  )
  const pid = readdirSync('/proc').find((entry) => /^\d+$/.test(entry) && socketsOf(entry).some((socket) => inodes.has(socket)))
  if (pid === undefined) throw new Error(`No process listens on port ${port}`)
  return Number(pid)
}

function socketsOf(pid: string): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((fd) => linkOrEmpty(`/proc/${pid}/fd/${fd}`))
  } catch {
    return [] // the process has ended, or belongs to another user
  }
}

function linkOrEmpty(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}
