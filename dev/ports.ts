import type { ChildProcess } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { connect, createServer } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'

const HIGHEST_OFFSET = 200
/** Below the range that systems take for outgoing connections (from 32768 on): what is free there stays free until it is taken. */
const ANY_PORT = { from: 20_000, to: 32_000 }

/** Ports that this process has promised to somebody: a server takes a while to listen. */
const promised = new Set<number>()

/** The wanted port or the next free one. 0: any. */
export async function freePort(wanted: number): Promise<number> {
  const first = wanted || randomInt(ANY_PORT.from, ANY_PORT.to)
  for (let port = first; port < first + HIGHEST_OFFSET; port += 1) {
    if (promised.has(port) || !(await isFree(port))) continue
    promised.add(port)
    return port
  }
  throw new Error(`No port between ${first} and ${first + HIGHEST_OFFSET} is free`)
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
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`${name} ended with ${child.signalCode ?? `exit code ${child.exitCode}`}`)
    if (await isOpen(port)) return
  }
  throw new Error(`${name} did not open port ${port} within ${timeoutMs / 1000} s`)
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
