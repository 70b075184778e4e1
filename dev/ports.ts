import type { ChildProcess } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { chmodSync, mkdirSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { tryTake } from './lock.mjs'

const HIGHEST_OFFSET = 200
/** Below the range that systems take for outgoing connections (from 32768 on): what is free there stays free until it is taken. */
const ANY_PORT = { from: 20_000, to: 32_000 }
/** The same for all stacks and test runs of this machine, whatever their TMPDIR. */
const CLAIMS = '/tmp/caly-ports'
const OPEN_TO_ALL_USERS = 0o1777

/**
 * Ports that this process has promised to somebody, with what gives each back. A server takes a while to listen, and one that is
 * started again has to find its port free: a claim lasts as long as its process.
 */
const claimed = new Map<number, () => void>()

/** The wanted port or the next free one, claimed for this process among all stacks of the machine. 0: any. */
export async function freePort(wanted: number): Promise<number> {
  const first = wanted || randomInt(ANY_PORT.from, ANY_PORT.to)
  for (let port = first; port < first + HIGHEST_OFFSET; port += 1) {
    const release = claim(port)
    if (!release) continue
    if (await isFree(port)) return port
    claimed.delete(port)
    release()
  }
  throw new Error(`No port between ${first} and ${first + HIGHEST_OFFSET} is free`)
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
    // It belongs to another user, who has opened it.
  }
}

/** On all addresses, since some servers of ours listen there: a holder of any of them is in the way. */
function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer().once('error', () => resolve(false))
    server.listen(port, () => server.close(() => resolve(true)))
  })
}

/** @throws where the process ends or the time is over before it listens */
export async function waitForPort(port: number, child: ChildProcess, name: string, timeoutMs = 30_000): Promise<void> {
  for (const deadline = Date.now() + timeoutMs; Date.now() < deadline; await pause(25)) {
    assertRunning(child, name)
    if (await isOpen(port)) return
  }
  throw new Error(`${name} did not open port ${port} within ${timeoutMs / 1000} s`)
}

/**
 * @param hint where to read why it ended
 * @throws where the process has ended: what answers on its port is not ours
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
