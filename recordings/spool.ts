// The worker's disk, where recordings rest between download, validation and upload. One process a directory, one writer a file.
import { createHash } from 'node:crypto'
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import lockfile from 'proper-lockfile'
import type { CallSid } from '../contracts/call-sid.ts'
import { inspectAudio } from './audio/inspect.ts'
import { decodedPathOf, decodingPathOf } from './decode.ts'
import { FileTurns, Superseded, type Attempt } from './file-turns.ts'
import { newNotePathOf, readNote, writeNote, type SpoolNote } from './spool-note.ts'
import { SpoolFull, SpoolSpace, type SpoolLimits } from './spool-space.ts'

/** Another process of this machine uses the directory, or the disk refuses it. */
export class SpoolUnusable extends Error {}

const FILE_NAME = /^([A-Za-z0-9_-]{1,64})-[0-9a-f]{12}$/
/** A file, its note, a note that was being written, or what a compressed file is being decoded to. */
const BELONGINGS = /^([A-Za-z0-9_-]{1,64}-[0-9a-f]{12})(?:\.json(?:\.new)?|\.decoded|\.decoding)?$/
const LOCK = { stale: 5000, update: 1000, realpath: false }
/** How long a starting worker waits for the lock of one that was killed to go stale. */
const LOCK_RETRIES = { retries: 16, factor: 1, minTimeout: 500, maxTimeout: 500 }

export class Spool {
  readonly directory: string
  /** The task queue of whoever holds this directory: the same after a restart, also with an emptied disk. */
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
   * Takes the directory for this process; waits for the lock of a killed one to go stale.
   * @param onLost the lock could not be renewed (the process was stopped, the disk is ill), and another may have it: stop at once
   * @throws {SpoolUnusable}
   */
  static async open(path: string, name: string | undefined, limits: SpoolLimits, onLost: (reason: Error) => void): Promise<Spool> {
    const directory = resolve(path)
    const release = await mkdir(directory, { recursive: true })
      .then(() =>
        lockfile.lock(directory, { ...LOCK, retries: LOCK_RETRIES, lockfilePath: join(directory, '.lock'), onCompromised: onLost }),
      )
      .catch((error: NodeJS.ErrnoException) => {
        throw new SpoolUnusable(
          error.code === 'ELOCKED'
            ? `Another worker uses the spool directory ${directory}`
            : `The spool directory ${directory} cannot be used: ${error.message}`,
        )
      })
    const place = createHash('sha256').update(directory).digest('hex').slice(0, 8)
    return new Spool(directory, `spool-${name ?? hostname()}-${place}`, limits, release)
  }

  async close(): Promise<void> {
    await this.#release().catch(() => {}) // the directory is gone, and the lock with it
  }

  /** One file for one recording, named by its call and its link. */
  fileFor(callSid: CallSid, sourceUrl: string): string {
    return `${callSid}-${createHash('sha256').update(sourceUrl).digest('hex').slice(0, 12)}`
  }

  /** Where the longest incomplete file of a recording is kept while it is downloaded again: a spool file like others. */
  keptFile(file: string): string {
    const [, callSid] = FILE_NAME.exec(file)!
    return this.fileFor(callSid as CallSid, `kept ${file}`)
  }

  path(file: string): string {
    if (!FILE_NAME.test(file)) throw new Error('Not the name of a spool file')
    return join(this.directory, file)
  }

  async bytesOf(file: string): Promise<number> {
    return (await stat(this.path(file)).catch(() => undefined))?.size ?? 0
  }

  /** Whether anything of a recording is here: its newest file, or the one that is kept. */
  async holds(file: string): Promise<boolean> {
    return (await this.bytesOf(file)) > 0 || (await this.bytesOf(this.keptFile(file))) > 0
  }

  note(file: string): Promise<SpoolNote> {
    return readNote(this.#notePath(file))
  }

  writeNote(file: string, note: SpoolNote): Promise<void> {
    return writeNote(this.#notePath(file), note)
  }

  /** Makes room for another download. What has arrived is kept if it is longer than what is kept already. */
  async setAside(file: string): Promise<void> {
    const kept = this.keptFile(file)
    // A sweep of the kept file ends first.
    await this.#turns.take(kept, { scheduledMs: Date.now(), signal: new AbortController().signal }, async () => {
      if (await this.#isWorthMore(file, kept)) {
        await this.drop(kept)
        await rename(this.path(file), this.path(kept))
        await rename(this.#notePath(file), this.#notePath(kept)).catch(ignoreMissing)
      }
    })
    await this.drop(file)
  }

  /** A page must not take the place of audio. */
  async #isWorthMore(file: string, kept: string): Promise<boolean> {
    const [bytes, keptBytes] = [await this.bytesOf(file), await this.bytesOf(kept)]
    if (bytes === 0 || bytes < keptBytes) return false
    return keptBytes === 0 || (await inspectAudio(this.path(file))).kind !== 'none'
  }

  /** Removes all that is there of a recording. */
  async remove(file: string): Promise<void> {
    for (const each of [this.keptFile(file), file]) await this.drop(each)
  }

  /** Removes one file and its note. */
  async drop(file: string): Promise<void> {
    for (const note of [this.#notePath(file), newNotePathOf(this.#notePath(file))]) await rm(note, { force: true })
    for (const content of [decodedPathOf(this.path(file)), decodingPathOf(this.path(file)), this.path(file)])
      await rm(content, { force: true })
  }

  /**
   * Deletes a whole file of a recording that is stored, and what is kept of it. Where a later attempt writes the file or has written
   * another, that one stays. So it does for {@link dropWhole} and {@link rejectWhole}.
   * @throws {Superseded | FileBusy}
   */
  async removeWhole(file: string, sha256: string, attempt: Attempt): Promise<void> {
    await this.#changeWhole(file, sha256, attempt, () => this.remove(file))
  }

  /** Deletes a whole file that is no recording; an incomplete one that is kept stays. Throws as {@link removeWhole} does. */
  async dropWhole(file: string, sha256: string, attempt: Attempt): Promise<void> {
    await this.#changeWhole(file, sha256, attempt, () => this.drop(file))
  }

  /** Notes that a whole file is incomplete: it is downloaded again. Throws as {@link removeWhole} does. */
  async rejectWhole(file: string, sha256: string, attempt: Attempt, reason: string): Promise<void> {
    await this.#changeWhole(file, sha256, attempt, () => this.writeNote(file, { broken: { reason } }))
  }

  async #changeWhole(file: string, sha256: string, attempt: Attempt, change: () => Promise<void>): Promise<void> {
    await this.asWriter(file, attempt, async () => {
      const { complete, synced, broken } = await this.note(file)
      const isAnother = complete ? complete.sha256 !== sha256 : synced !== undefined || broken !== undefined
      if (!isAnother) await change()
    })
  }

  /**
   * Runs the one writer of a file: attempts that Temporal scheduled before it are aborted and have ended first.
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
   * Reserves space for the whole of a file until its writer has ended. If there is none, what the disk has of the file is deleted:
   * otherwise two halves could wait for each other's space.
   * @throws {SpoolFull}
   */
  async admit(file: string, totalBytes: number): Promise<void> {
    try {
      await this.#space.reserve(file, totalBytes)
    } catch (error) {
      if (error instanceof SpoolFull) await this.remove(file)
      throw error
    }
  }

  /**
   * Reserves space for the next step of a file whose length nobody announces.
   * @returns up to how many bytes it may grow before it needs the next step
   * @throws {SpoolFull}
   */
  async admitStep(file: string, writtenBytes: number): Promise<number> {
    const upTo = this.#space.nextStep(writtenBytes)
    await this.admit(file, upTo)
    return upTo
  }

  async usedBytes(): Promise<number> {
    return [...(await this.#sizes()).values()].reduce((sum, bytes) => sum + bytes, 0)
  }

  async files(): Promise<string[]> {
    return (await readdir(this.directory)).filter((name) => FILE_NAME.test(name))
  }

  /**
   * Deletes what belongs to calls without an open workflow; files that are being written stay.
   * @param onError one file that cannot be swept keeps none of the others
   */
  async sweep(isOpen: (callSid: CallSid) => Promise<boolean>, onError: (file: string, error: unknown) => void): Promise<string[]> {
    const swept: string[] = []
    const names = await readdir(this.directory)
    for (const file of new Set(names.flatMap((name) => BELONGINGS.exec(name)?.[1] ?? []))) {
      try {
        if (await this.#sweepFile(file, isOpen)) swept.push(file)
      } catch (error) {
        onError(file, error)
      }
    }
    return swept
  }

  /** Holds the file while it asks: an attempt that begins meanwhile ends this turn at once, and the file stays. */
  async #sweepFile(file: string, isOpen: (callSid: CallSid) => Promise<boolean>): Promise<boolean> {
    const beforeAll: Attempt = { scheduledMs: 0, signal: new AbortController().signal }
    const sweep = async (signal: AbortSignal): Promise<boolean> => {
      const taken = new Promise<true>((resolve) => signal.addEventListener('abort', () => resolve(true)))
      const isWanted = await Promise.race([isOpen(FILE_NAME.exec(file)![1] as CallSid), taken])
      if (isWanted || signal.aborted) return false
      await this.remove(file)
      return true
    }
    return this.asWriter(file, beforeAll, sweep).catch((error: unknown) => {
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

function ignoreMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
}
