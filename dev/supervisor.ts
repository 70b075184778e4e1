// Starts and stops the processes of a stack. Each process has its own session, so that Ctrl-C reaches only this process, which then
// stops the others in order. If this process is killed, the reaper stops them. If the reaper is killed as well, the next start stops
// the processes in the pid file.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync, closeSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { commandOf } from './process-table.ts'

export interface Program {
  name: string
  file: string
  args: string[]
  env?: NodeJS.ProcessEnv
  cwd?: string
  uid?: number
  gid?: number
  /** The signal for a fast and clean stop. */
  stopSignal: NodeJS.Signals
}

interface Supervised {
  program: Program
  child: ChildProcess
}

const RESTART_PAUSE_MS = 1000
const STOP_GRACE_MS = 20_000
/** How long `stop` waits for the work of `finish`. */
const FINISH_GRACE_MS = 60_000

export class Supervisor {
  readonly #home: string
  readonly #reaper: ChildProcess
  readonly #supervised: Supervised[] = []
  readonly #onRestart: ((how: string) => void) | undefined
  readonly #stopping = new AbortController()
  readonly #unfinished = new Set<Promise<unknown>>()
  #stopped: Promise<void> | undefined
  /** The list of processes as it was last written. */
  #pids: string | undefined

  /**
   * @param home folder for logs and the pid file
   * @param onRestart if given, processes that end by themselves are started again, as an orchestrator would, and this function is
   *   called with a message
   */
  constructor(home: string, onRestart?: (how: string) => void) {
    this.#home = home
    this.#onRestart = onRestart
    const script = fileURLToPath(new URL('./reaper.mjs', import.meta.url))
    this.#reaper = spawn(process.execPath, [script], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
    this.#reaper.unref()
    ;(this.#reaper.stdin as Socket).unref()
  }

  /** Starts a process. Processes are stopped in reverse order of their first starts. */
  start(program: Program): ChildProcess {
    const supervised = { program, child: this.#spawn(program) }
    this.#supervised.push(supervised)
    this.#watch(supervised)
    return supervised.child
  }

  /** Sends a signal to the current process of this name. */
  signal(name: string, signal: NodeJS.Signals): void {
    this.#supervised.find(({ program }) => program.name === name)?.child.kill(signal)
  }

  /** Makes the reaper remove the folder after all processes have ended. */
  removeAtEnd(folder: string): void {
    this.#sendToReaper({ folder })
  }

  /** Runs work that must not be interrupted, such as a migration: `stop` waits for it before it stops the first process. */
  async finish<T>(work: (stopping: AbortSignal) => Promise<T>): Promise<T> {
    this.#assertNotStopping()
    const running = work(this.#stopping.signal)
    this.#unfinished.add(running)
    return running.finally(() => this.#unfinished.delete(running))
  }

  logOf(name: string): string {
    return join(this.#home, 'logs', `${name}.log`)
  }

  /** Stops all processes in reverse order. Finally the reaper kills those that did not stop. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stopAll()
    return this.#stopped
  }

  async #stopAll(): Promise<void> {
    this.#stopping.abort()
    await Promise.race([Promise.allSettled(this.#unfinished), pause(FINISH_GRACE_MS, undefined, { ref: false })])
    for (const { program, child } of this.#supervised.toReversed()) {
      if (!isRunning(child)) continue
      child.kill(program.stopSignal)
      await Promise.race([once(child, 'exit'), pause(STOP_GRACE_MS, undefined, { ref: false })])
    }
    this.#reaper.ref()
    const ended = once(this.#reaper, 'exit')
    this.#reaper.stdin!.end()
    await ended
    this.#removePids()
  }

  #spawn(program: Program): ChildProcess {
    this.#assertNotStopping()
    mkdirSync(join(this.#home, 'logs'), { recursive: true }) // not in the constructor: a reset may delete it before this command has the lock
    const log = openSync(this.logOf(program.name), 'a')
    const { name: _, file, args, stopSignal, ...options } = program
    const child = spawn(file, args, { ...options, detached: true, stdio: ['ignore', log, log] })
    closeSync(log)
    child.on('error', () => {}) // a failed start also sets exitCode, which assertRunning reports
    this.#sendToReaper({ pid: child.pid, signal: stopSignal })
    return child
  }

  #watch(supervised: Supervised): void {
    this.#writePids()
    supervised.child.once('exit', (code, signal) => {
      this.#sendToReaper({ gone: supervised.child.pid })
      if (this.#stopping.signal.aborted || !this.#onRestart) return
      this.#onRestart(`${supervised.program.name} ended (${signal ?? code}) and is started again`)
      setTimeout(() => {
        if (this.#stopping.signal.aborted) return
        supervised.child = this.#spawn(supervised.program)
        this.#watch(supervised)
      }, RESTART_PAUSE_MS)
    })
  }

  #assertNotStopping(): void {
    if (this.#stopping.signal.aborted) throw new Error('The stack is stopping.')
  }

  #sendToReaper(what: object): void {
    if (this.#reaper.stdin!.writable) this.#reaper.stdin!.write(`${JSON.stringify(what)}\n`)
  }

  #pidFile(): string {
    return join(this.#home, 'pids.json')
  }

  #writePids(): void {
    const pids = this.#supervised.map(({ child, program }) => ({ pid: child.pid, mark: markOf(program) }))
    this.#pids = JSON.stringify(pids)
    try {
      writeFileSync(this.#pidFile(), this.#pids)
    } catch (error) {
      // A full disk must not stop the stack. The reaper still stops its processes.
      this.#onRestart?.(`The pid file cannot be written: ${(error as Error).message}`)
    }
  }

  /** Removes the pid file only if it is our own. That of another stack in this folder names running processes. */
  #removePids(): void {
    const path = this.#pidFile()
    if (existsSync(path) && readFileSync(path, 'utf8') === this.#pids) rmSync(path)
  }
}

/** Stops processes of an earlier run whose parent and reaper were killed. A pid that now belongs to another program is ignored. */
export async function clearLeftovers(home: string): Promise<void> {
  const path = join(home, 'pids.json')
  if (!existsSync(path)) return
  const left = readPids(path).filter(({ pid, mark }) => commandOf(pid)?.includes(mark))
  for (const { pid } of left) tryKill(pid, 'SIGINT')
  for (let waited = 0; waited < 5000 && left.some(({ pid }) => tryKill(pid, 0)); waited += 100) await pause(100)
  for (const { pid } of left) tryKill(pid, 'SIGKILL')
  rmSync(path, { force: true })
}

/** Identifies our process if its pid may have been reused: the end of its command line. */
function markOf({ args }: Program): string {
  return args.slice(-2).join(' ')
}

function readPids(path: string): { pid: number; mark: string }[] {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as { pid: number; mark: string }[]
  } catch {
    return [] // the file was written only partly before a crash
  }
}

function isRunning(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null
}

function tryKill(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal)
  } catch {
    return false
  }
}
