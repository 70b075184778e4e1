import type { ChildProcess } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { chmodSync, mkdirSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { tryTake } from './lock.mjs'

const HIGHEST_OFFSET = 200
/** Below the ephemeral port range (from 32768), so that no outgoing connection takes a port before the server opens it. */
const ANY_PORT = { from: 20_000, to: 32_000 }
/** Shared by all stacks and test runs of this machine, whatever their TMPDIR. */
const CLAIMS = '/tmp/caly-ports'
const OPEN_TO_ALL_USERS = 0o1777

/**
 * Ports claimed by this process, with functions that release them. A server needs some time to open its port, and a restarted server
 * needs the same port, so a claim lasts until this process ends.
 */
const claimed = new Map<number, () => void>()

/** Claims the wanted port or the next free one for this process, among all stacks of the machine. 0: any free port. */
export async function freePort(wanted: number): Promise<number> {
  const first = wanted || randomInt(ANY_PORT.from, ANY_PORT.to)
  for (let port = first; port < first + HIGHEST_OFFSET; port += 1) {
    const release = claim(port)
    if (!release) continue
    if (await isFree(port)) return port
    claimed.delete(port)
    release()
  }
  throw new Error(`No port from ${first} to ${first + HIGHEST_OFFSET - 1} is free`)
}

function claim(port: number): (() => void) | undefined {
  openToAll(CLAIMS)
  const release = tryTake(CLAIMS, String(port))
  if (!release) return undefined
  if (claimed.size === 0) process.once('exit', () => claimed.forEach((each) => each()))
  claimed.set(port, release)
  return release
}

function openToAll(folder: string): void {
  mkdirSync(folder, { recursive: true })
  try {
    chmodSync(folder, OPEN_TO_ALL_USERS)
  } catch {
    // It belongs to another user, whose process has set the mode.
  }
}

/** Checks all addresses, because some of our servers listen on all of them. */
function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer().once('error', () => resolve(false))
    server.listen(port, () => server.close(() => resolve(true)))
  })
}

/** @throws if the process ends or the timeout passes before the port is open */
export async function waitForPort(port: number, child: ChildProcess, name: string, timeoutMs = 30_000): Promise<void> {
  for (const deadline = Date.now() + timeoutMs; Date.now() < deadline; await pause(25)) {
    assertRunning(child, name)
    if (await isOpen(port)) return
  }
  throw new Error(`${name} did not open port ${port} within ${timeoutMs / 1000} s`)
}

/**
 * @param hint where the reason is logged
 * @throws if the process has ended: a server on its port is then another one
 */
export function assertRunning(child: ChildProcess, name: string, hint?: string): void {
  if (child.exitCode !== null || child.signalCode !== null)
    throw new Error(`${name} ended with ${child.signalCode ?? `exit code ${child.exitCode}`}${hint === undefined ? '' : `: ${hint}`}`)
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
      .once('connect', () => {
        socket.destroy()
        resolve(true)
      })
      .once('error', () => resolve(false))
  })
}
