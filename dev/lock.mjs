// Locks between processes, as empty files named <name>.<pid>.<start of the process>. Each process creates and removes only its own
// file, apart from those whose owner is dead. A file exists completely or not at all, and removing the file of a dead owner can
// never remove that of a new one.
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startOf } from './process-start.mjs'

const POLL_MS = 200

/**
 * Adds this process to the owners of a name; there may be several.
 * @returns removes it; undefined where this process is one of them already
 */
export function register(folder, name) {
  const path = join(folder, `${name}.${process.pid}.${startOf(process.pid)}`)
  mkdirSync(folder, { recursive: true })
  try {
    writeFileSync(path, '', { flag: 'wx' })
  } catch (error) {
    if (error.code === 'EEXIST') return undefined
    throw error
  }
  return () => rmSync(path, { force: true })
}

/** Process numbers of all other living owners of a name. Removes what dead owners have left in the folder. */
export function othersOf(folder, name) {
  const alive = new Map()
  const isAlive = ({ pid, start }) => {
    const owner = `${pid}.${start}`
    if (!alive.has(owner)) alive.set(owner, startOf(pid) === start)
    return alive.get(owner)
  }
  const entries = readdirSync(folder).map(readEntry).filter(Boolean)
  for (const entry of entries) if (!isAlive(entry)) remove(join(folder, entry.file))
  return entries.filter((entry) => entry.name === name && entry.pid !== process.pid && isAlive(entry)).map(({ pid }) => pid)
}

/**
 * Takes a lock, without waiting. Of two processes that try at the same moment each sees the other one: at most one gets it.
 * @returns gives it back; undefined where another process has it, or this one
 */
export function tryTake(folder, name) {
  const release = register(folder, name)
  if (!release) return undefined
  if (othersOf(folder, name).length === 0) return release
  release()
  return undefined
}

/**
 * Runs one at a time over all processes.
 * @param signal ends the wait for the lock, and nothing else
 * @throws the reason of the signal, where it ends the wait
 */
export async function withLock(folder, work, signal) {
  const release = await take(folder, signal)
  process.once('exit', release) // where the work is cut
  try {
    return await work()
  } finally {
    process.off('exit', release)
    release()
  }
}

async function take(folder, signal) {
  for (let told = false; ;) {
    signal?.throwIfAborted()
    const release = tryTake(folder, 'lock')
    if (release) return release
    if (!told) told = console.error('  … waiting for another command that prepares the same') ?? true
    // Two that have just seen each other try again at different times.
    await new Promise((resolve) => setTimeout(resolve, POLL_MS * (0.5 + Math.random())))
  }
}

function readEntry(file) {
  const parts = /^(.+)\.(\d+)\.([A-Za-z0-9-]+)$/.exec(file)
  return parts && { file, name: parts[1], pid: Number(parts[2]), start: parts[3] }
}

/** Another user's file in a shared folder stays: it means nothing any more. */
function remove(path) {
  try {
    rmSync(path, { force: true })
  } catch (error) {
    if (error.code !== 'EPERM' && error.code !== 'EACCES') throw error
  }
}
