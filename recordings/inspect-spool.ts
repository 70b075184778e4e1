// Reads the state of a spool directory without opening it: opening would lock it, which only one process can do.
import { access, constants, readdir, stat, statfs } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { Spool } from './spool.ts'

export interface SpoolState {
  directory: string
  /** False if a worker will create it. */
  exists: boolean
  /** A worker uses it. */
  isLocked: boolean
  usedBytes: number
  /** Free bytes of its disk. */
  freeBytes: number
}

/** @throws the error of the file system if a worker could not use the directory or create it */
export async function inspectSpool(path: string): Promise<SpoolState> {
  const directory = resolve(path)
  const existing = await nearestExisting(directory)
  if (!(await stat(existing)).isDirectory()) throw new Error(`${existing} is not a directory`)
  await access(existing, constants.W_OK | constants.X_OK)
  const exists = existing === directory
  const { bavail, bsize } = await statfs(existing)
  return {
    directory,
    exists,
    isLocked: exists && (await Spool.isLocked(directory)),
    usedBytes: exists ? await bytesIn(directory) : 0,
    freeBytes: bavail * bsize,
  }
}

/** The directory itself, or the nearest one above it. */
async function nearestExisting(directory: string): Promise<string> {
  try {
    await stat(directory)
    return directory
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(directory) === directory) throw error
    return nearestExisting(dirname(directory))
  }
}

async function bytesIn(directory: string): Promise<number> {
  const files = await readdir(directory)
  const sizes = await Promise.all(files.map((name) => stat(join(directory, name)).catch(() => undefined))) // a worker may delete files
  return sizes.reduce((sum, stats) => sum + (stats?.isFile() ? stats.size : 0), 0)
}
