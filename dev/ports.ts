import type { ChildProcess } from 'node:child_process'
import { connect, createServer } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'

const HIGHEST_OFFSET = 200

/** Ports that this process has promised to somebody: a server takes a while to listen. */
const promised = new Set<number>()

/** The wanted port or the next free one. 0: any. */
export async function freePort(wanted: number): Promise<number> {
  if (wanted === 0) return (await tryPort(0))!
  for (let port = wanted; port < wanted + HIGHEST_OFFSET; port += 1) {
    if (promised.has(port) || (await tryPort(port)) === undefined) continue
    promised.add(port)
    return port
  }
  throw new Error(`No port between ${wanted} and ${wanted + HIGHEST_OFFSET} is free`)
}

/** On all addresses, since some servers of ours listen there: a holder of any of them is in the way. */
function tryPort(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer().once('error', () => resolve(undefined))
    server.listen(port, () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' ? address?.port : undefined))
    })
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
