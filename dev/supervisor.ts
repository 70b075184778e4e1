// Starts and ends the processes of a stack. They live in sessions of their own, so that Ctrl-C reaches only us and the order
// of their ends is ours; a reaper ends them where we cannot, and a file of pids lets the next start clear what even that left.
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
  /** What ends it cleanly and soon. */
  stopSignal: NodeJS.Signals
}

interface Kept {
  program: Program
  child: ChildProcess
}

const RESTART_PAUSE_MS = 1000
const STOP_GRACE_MS = 20_000
/** How long `stop` waits for what `finish` runs. */
const FINISH_GRACE_MS = 60_000

export class Supervisor {
  readonly #home: string
  readonly #reaper: ChildProcess
  readonly #kept: Kept[] = []
  readonly #onRestart: ((how: string) => void) | undefined
  readonly #stopping = new AbortController()
  readonly #unfinished = new Set<Promise<unknown>>()
  #stopped: Promise<void> | undefined
  /** The list of processes as it was last written. */
  #pids: string | undefined

  /**
   * @param home folder for logs and the pid file
   * @param onRestart told of each process that ended by itself and is started again, as an orchestrator would; absent: it stays ended
   */
  constructor(home: string, onRestart?: (how: string) => void) {
    this.#home = home
    this.#onRestart = onRestart
    const script = fileURLToPath(new URL('./reaper.mjs', import.meta.url))
    this.#reaper = spawn(process.execPath, [script], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
    this.#reaper.unref()
    ;(this.#reaper.stdin as Socket).unref()
  }

  /** What was started first is ended last, however often it was started again. */
  start(program: Program): ChildProcess {
    const kept = { program, child: this.#spawn(program) }
    this.#kept.push(kept)
    this.#watch(kept)
    return kept.child
  }

  /** To the process that bears the name now. */
  signal(name: string, signal: NodeJS.Signals): void {
    this.#kept.find(({ program }) => program.name === name)?.child.kill(signal)
  }

  /** Removed by the reaper, once everything has ended. */
  removeAtEnd(folder: string): void {
    this.#tellReaper({ folder })
  }

  /** Runs work that must not be cut, such as a migration: `stop` waits for it before it ends the first process. */
  async finish<T>(work: (stopping: AbortSignal) => Promise<T>): Promise<T> {
    this.#assertNotStopping()
    const running = work(this.#stopping.signal)
    this.#unfinished.add(running)
    return running.finally(() => this.#unfinished.delete(running))
  }

  logOf(name: string): string {
    return join(this.#home, 'logs', `${name}.log`)
  }

  /** Last started, first ended; then the reaper, with what did not listen. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stopAll()
    return this.#stopped
  }

  async #stopAll(): Promise<void> {
    this.#stopping.abort()
    await Promise.race([Promise.allSettled(this.#unfinished), pause(FINISH_GRACE_MS, undefined, { ref: false })])
    for (const { program, child } of this.#kept.toReversed()) {
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
    mkdirSync(join(this.#home, 'logs'), { recursive: true }) // not earlier: a reset may run before the stack's lock is ours
    const log = openSync(this.logOf(program.name), 'a')
    const { name: _, file, args, stopSignal, ...options } = program
    const child = spawn(file, args, { ...options, detached: true, stdio: ['ignore', log, log] })
    closeSync(log)
    child.on('error', () => {}) // shows as an exit, too
    this.#tellReaper({ pid: child.pid, signal: stopSignal })
    return child
  }

  #watch(kept: Kept): void {
    this.#writePids()
    kept.child.once('exit', (code, signal) => {
      this.#tellReaper({ gone: kept.child.pid })
      if (this.#stopping.signal.aborted || !this.#onRestart) return
      this.#onRestart(`${kept.program.name} ended (${signal ?? code}), starting it again`)
      setTimeout(() => {
        if (this.#stopping.signal.aborted) return
        kept.child = this.#spawn(kept.program)
        this.#watch(kept)
      }, RESTART_PAUSE_MS)
    })
  }

  #assertNotStopping(): void {
    if (this.#stopping.signal.aborted) throw new Error('The stack is stopping.')
  }

  #tellReaper(what: object): void {
    if (this.#reaper.stdin!.writable) this.#reaper.stdin!.write(`${JSON.stringify(what)}\n`)
  }

  #pidFile(): string {
    return join(this.#home, 'pids.json')
  }

  #writePids(): void {
    const pids = this.#kept.map(({ child, program }) => ({ pid: child.pid, mark: markOf(program) }))
    this.#pids = JSON.stringify(pids)
    try {
      writeFileSync(this.#pidFile(), this.#pids)
    } catch (error) {
      // A full disk ends no stack; the reaper still ends its processes.
      this.#onRestart?.(`The list of processes cannot be written: ${(error as Error).message}`)
    }
  }

  /** Only its own list: that of another stack in this folder names processes that run. */
  #removePids(): void {
    const path = this.#pidFile()
    if (existsSync(path) && readFileSync(path, 'utf8') === this.#pids) rmSync(path)
  }
}

/** Ends what an earlier run left behind, parent and reaper killed. A pid that now belongs to something else is left alone. */
export async function clearLeftovers(home: string): Promise<void> {
  const path = join(home, 'pids.json')
  if (!existsSync(path)) return
  const left = readPids(path).filter(({ pid, mark }) => commandOf(pid)?.includes(mark))
  for (const { pid } of left) tryKill(pid, 'SIGINT')
  for (let waited = 0; waited < 5000 && left.some(({ pid }) => tryKill(pid, 0)); waited += 100) await pause(100)
  for (const { pid } of left) tryKill(pid, 'SIGKILL')
  rmSync(path, { force: true })
}

/** What tells a process of ours from another that got its number: the end of its command line. */
function markOf({ args }: Program): string {
  return args.slice(-2).join(' ')
}

function readPids(path: string): { pid: number; mark: string }[] {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as { pid: number; mark: string }[]
  } catch {
    return [] // cut by the crash that left it
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
