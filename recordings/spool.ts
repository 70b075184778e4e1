// The folder on the worker's disk for recordings between download, validation and upload. Each folder has one process, each file one writer.
import { createHash } from 'node:crypto'
import { mkdir, readdir, rename, stat, unlink } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import lockfile from 'proper-lockfile'
import { CALL_SID_PATTERN, type CallSid } from '../contracts/call-sid.ts'
import { inspectAudio } from './audio/inspect.ts'
import { decodedPathOf, decodingPathOf } from './decode.ts'
import { FileTurns, Superseded, type Attempt } from './file-turns.ts'
import { newNotePathOf, readNote, writeNote, type SpoolNote } from './spool-note.ts'
import { SpoolFull, SpoolSpace, type SpoolLimits } from './spool-space.ts'

/** Another process on this machine uses the directory, or the directory cannot be created or locked. */
export class SpoolUnusable extends Error {}

const FILE_NAME = new RegExp(`^(${CALL_SID_PATTERN})-[0-9a-f]{12}$`)
/** The name of a file, its note, a note that is being written, or the decoded content of a compressed file. */
const BELONGINGS = new RegExp(String.raw`^(${CALL_SID_PATTERN}-[0-9a-f]{12})(?:\.json(?:\.new)?|\.decoded|\.decoding)?$`)
const LOCK = { stale: 5000, update: 1000, realpath: false }
const LOCK_NAME = '.lock'
/** How long a starting worker waits until the lock of a killed worker is stale. */
const LOCK_RETRIES = { retries: 16, factor: 1, minTimeout: 500, maxTimeout: 500 }

export class Spool {
  readonly directory: string
  /** The task queue of the worker that has this directory. It is the same after a restart, even if the disk was emptied. */
  readonly queue: string
  readonly #space: SpoolSpace
  readonly #release: () => Promise<void>
  readonly #turns = new FileTurns()

  private constructor(directory: string, queue: string, limits: SpoolLimits, release: () => Promise<void>) {
    this.directory = directory
    this.queue = queue
    this.#space = new SpoolSpace(directory, limits, () => this.#sizes())
    this.#release = release
  }

  /**
   * Locks the directory for this process. If a killed process has the lock, waits until the lock is stale.
   * @param onLost called if the lock could not be renewed (the process was suspended, the disk has errors). Another process may have
   * the lock, so this process must stop at once.
   * @throws {SpoolUnusable}
   */
  static async open(path: string, name: string | undefined, limits: SpoolLimits, onLost: (reason: Error) => void): Promise<Spool> {
    const directory = resolve(path)
    const release = await mkdir(directory, { recursive: true })
      .then(() =>
        lockfile.lock(directory, { ...LOCK, retries: LOCK_RETRIES, lockfilePath: join(directory, LOCK_NAME), onCompromised: onLost }),
      )
      .catch((error: NodeJS.ErrnoException) => {
        throw new SpoolUnusable(
          error.code === 'ELOCKED'
            ? `Another worker uses the spool directory ${directory}: each worker needs its own`
            : `The spool directory ${directory} cannot be used: ${error.message}`,
        )
      })
    const place = createHash('sha256').update(directory).digest('hex').slice(0, 8)
    return new Spool(directory, `spool-${name ?? hostname()}-${place}`, limits, release)
  }

  /** Whether a process has locked the directory. Changes nothing. */
  static isLocked(directory: string): Promise<boolean> {
    return lockfile.check(directory, { stale: LOCK.stale, realpath: LOCK.realpath, lockfilePath: join(directory, LOCK_NAME) })
  }

  async close(): Promise<void> {
    await this.#release().catch(() => {}) // the directory may have been deleted together with the lock
  }

  /** The name of the file for a recording, made from the CallSid and the link. */
  fileFor(callSid: CallSid, sourceUrl: string): string {
    return `${callSid}-${createHash('sha256').update(sourceUrl).digest('hex').slice(0, 12)}`
  }

  /** The name of the spool file that keeps the longest incomplete download of a recording while it is downloaded again. */
  keptFile(file: string): string {
    return this.fileFor(callSidOf(file), `kept ${file}`)
  }

  path(file: string): string {
    if (!FILE_NAME.test(file)) throw new Error('Not the name of a spool file')
    return join(this.directory, file)
  }

  async bytesOf(file: string): Promise<number> {
    return (await stat(this.path(file)).catch(() => undefined))?.size ?? 0
  }

  /** Whether the spool has any bytes of a recording: its newest file, or the kept file. */
  async holds(file: string): Promise<boolean> {
    return (await this.bytesOf(file)) > 0 || (await this.bytesOf(this.keptFile(file))) > 0
  }

  note(file: string): Promise<SpoolNote> {
    return readNote(this.#notePath(file))
  }

  writeNote(file: string, note: SpoolNote): Promise<void> {
    return writeNote(this.#notePath(file), note)
  }

  /** Removes the file before another download. If it is worth more than the kept file, it becomes the kept file. */
  async setAside(file: string): Promise<void> {
    const kept = this.keptFile(file)
    const existing = await Promise.all([this.path(file), this.#notePath(file), this.path(kept)].map(exists))
    if (!existing.includes(true)) return
    // Waits until garbage collection has left the kept file.
    await this.#turns.take(kept, { scheduledMs: Date.now(), signal: new AbortController().signal }, async () => {
      if (await this.#isWorthMore(file, kept)) {
        await this.drop(kept)
        const bytes = await this.bytesOf(file)
        this.#space.changed(kept, bytes)
        await rename(this.path(file), this.path(kept))
        this.#space.changed(kept, bytes) // a listing that began before the rename may have seen neither name
        await rename(this.#notePath(file), this.#notePath(kept)).catch(ignoreMissing)
      }
    })
    await this.drop(file)
  }

  /** Whether the file must replace the kept file. Bytes that may be audio are worth more than a page, however long the page is. */
  async #isWorthMore(file: string, kept: string): Promise<boolean> {
    const [bytes, keptBytes] = [await this.bytesOf(file), await this.bytesOf(kept)]
    if (bytes === 0 || keptBytes === 0) return bytes > 0
    if (!(await this.#mayBeAudio(file))) return false
    return bytes >= keptBytes || !(await this.#mayBeAudio(kept))
  }

  async #mayBeAudio(file: string): Promise<boolean> {
    return (await inspectAudio(this.path(file))).kind !== 'none'
  }

  /** Removes all files of a recording. */
  async remove(file: string): Promise<void> {
    for (const each of [this.keptFile(file), file]) await this.drop(each)
  }

  /** Removes one file and its note. */
  async drop(file: string): Promise<void> {
    const [path, note] = [this.path(file), this.#notePath(file)]
    for (const each of [note, newNotePathOf(note), decodedPathOf(path), decodingPathOf(path), path]) await unlink(each).catch(ignoreMissing)
    this.#space.changed(file, 0)
  }

  /**
   * Deletes a complete file whose recording is stored, and the kept file. If a later attempt is writing the file or has replaced it, the
   * file stays. This also applies to {@link removeRefused} and {@link markIncomplete}.
   * @throws {Superseded | FileBusy}
   */
  async removeStored(file: string, sha256: string, attempt: Attempt): Promise<void> {
    await this.#changeComplete(file, sha256, attempt, () => this.remove(file))
  }

  /** Deletes a complete file that is not a recording. The kept file stays. Throws the same errors as {@link removeStored}. */
  async removeRefused(file: string, sha256: string, attempt: Attempt): Promise<void> {
    await this.#changeComplete(file, sha256, attempt, () => this.drop(file))
  }

  /** Records that a file that seemed complete is incomplete and must be downloaded again. Throws the same errors as {@link removeStored}. */
  async markIncomplete(file: string, sha256: string, attempt: Attempt, reason: string): Promise<void> {
    await this.#changeComplete(file, sha256, attempt, () => this.writeNote(file, { broken: { reason } }))
  }

  async #changeComplete(file: string, sha256: string, attempt: Attempt, change: () => Promise<void>): Promise<void> {
    await this.asWriter(file, attempt, async () => {
      const { complete, synced, broken } = await this.note(file)
      const isAnother = complete ? complete.sha256 !== sha256 : synced !== undefined || broken !== undefined
      if (!isAnother) await change()
    })
  }

  /**
   * Runs `write` as the only writer of the file. Attempts that Temporal scheduled earlier are aborted, and have ended before it starts.
   * @throws {Superseded | FileBusy} or what `write` throws
   */
  asWriter<T>(file: string, attempt: Attempt, write: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return this.#turns.take(file, attempt, async (signal) => {
      try {
        return await write(signal)
      } finally {
        this.#space.release(file)
      }
    })
  }

  /**
   * Reserves space for the whole file until its writer has ended. If there is not enough space, all files of the recording are
   * deleted: otherwise two incomplete files could each wait for the space of the other.
   * @throws {SpoolFull}
   */
  async reserve(file: string, totalBytes: number): Promise<void> {
    try {
      await this.#space.reserve(file, totalBytes)
    } catch (error) {
      if (error instanceof SpoolFull) await this.remove(file)
      throw error
    }
  }

  /**
   * Reserves space for the next step of a file whose length is unknown.
   * @returns the size to which the file may grow before it needs the next step
   * @throws {SpoolFull}
   */
  async reserveNextStep(file: string, writtenBytes: number): Promise<number> {
    const upTo = this.#space.nextStep(writtenBytes)
    await this.reserve(file, upTo)
    return upTo
  }

  async usedBytes(): Promise<number> {
    return [...(await this.#sizes()).values()].reduce((sum, bytes) => sum + bytes, 0)
  }

  async files(): Promise<string[]> {
    return (await readdir(this.directory)).filter((name) => FILE_NAME.test(name))
  }

  /**
   * Deletes the files of calls without an open run. Files that are being written stay.
   * @param onError called for each file that cannot be checked or deleted; the other files are checked all the same
   * @returns the deleted files
   */
  async collectGarbage(isOpen: (callSid: CallSid) => Promise<boolean>, onError: (file: string, error: unknown) => void): Promise<string[]> {
    const removed: string[] = []
    const names = await readdir(this.directory)
    for (const file of new Set(names.flatMap((name) => BELONGINGS.exec(name)?.[1] ?? []))) {
      try {
        if (await this.#removeIfClosed(file, isOpen)) removed.push(file)
      } catch (error) {
        onError(file, error)
      }
    }
    return removed
  }

  /** Has the turn for the file while it checks the workflow. An attempt that starts in the meantime ends this turn, and the file stays. */
  async #removeIfClosed(file: string, isOpen: (callSid: CallSid) => Promise<boolean>): Promise<boolean> {
    const earliest: Attempt = { scheduledMs: 0, signal: new AbortController().signal }
    const removeIfUnwanted = async (signal: AbortSignal): Promise<boolean> => {
      const taken = new Promise<true>((resolve) => signal.addEventListener('abort', () => resolve(true)))
      const isWanted = await Promise.race([isOpen(callSidOf(file)), taken])
      if (isWanted || signal.aborted) return false
      await this.remove(file)
      return true
    }
    return this.asWriter(file, earliest, removeIfUnwanted).catch((error: unknown) => {
      if (error instanceof Superseded) return false
      throw error
    })
  }

  async #sizes(): Promise<Map<string, number>> {
    return new Map(await Promise.all((await this.files()).map(async (file) => [file, await this.bytesOf(file)] as const)))
  }

  #notePath(file: string): string {
    return `${this.path(file)}.json`
  }
}

function callSidOf(file: string): CallSid {
  return FILE_NAME.exec(file)![1] as CallSid
}

/** @throws the error of the disk */
function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (error: unknown) => {
      ignoreMissing(error)
      return false
    },
  )
}

function ignoreMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
}
