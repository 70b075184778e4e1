// Locks between processes, as empty files named <name>.<pid>.<start of the process>. Each process creates and removes only its own
// file, and removes files of processes that have ended. An empty file is never partly written, and removing the file of an ended
// process can never remove that of a new one.
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startOf } from './process-start.mjs'

const POLL_MS = 200

/**
 * Adds this process to the owners of a name. There may be several owners.
 * @returns a function that removes it; undefined if this process is already an owner
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

/** @returns the pids of all other running owners of a name. Removes the files of ended processes from the folder. */
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
 * Takes a lock without waiting. If two processes try at the same moment, each sees the other, so at most one gets it.
 * @returns a function that releases the lock; undefined if another process or this one has it
 */
export function tryTake(folder, name) {
  const release = register(folder, name)
  if (!release) return undefined
  if (othersOf(folder, name).length === 0) return release
  release()
  return undefined
}

/**
 * Runs the work while holding the lock, so that only one process at a time runs such work.
 * @param signal aborts only the wait for the lock
 * @throws the reason of the signal if it aborts the wait
 */
export async function withLock(folder, work, signal) {
  const release = await take(folder, signal)
  process.once('exit', release) // if the process exits during the work
  try {
    return await work()
  } finally {
    process.off('exit', release)
    release()
  }
}

async function take(folder, signal) {
  for (let hasReported = false; ;) {
    signal?.throwIfAborted()
    const release = tryTake(folder, 'lock')
    if (release) return release
    if (!hasReported) hasReported = console.error('  … waiting for another command in this project folder') ?? true
    // A random pause, so that two processes that have just seen each other do not retry at the same time.
    await new Promise((resolve) => setTimeout(resolve, POLL_MS * (0.5 + Math.random())))
  }
}

function readEntry(file) {
  const parts = /^(.+)\.(\d+)\.([A-Za-z0-9-]+)$/.exec(file)
  return parts && { file, name: parts[1], pid: Number(parts[2]), start: parts[3] }
}

/** Another user's file in a shared folder cannot be removed. It is ignored, because its process has ended. */
function remove(path) {
  try {
    rmSync(path, { force: true })
  } catch (error) {
    if (error.code !== 'EPERM' && error.code !== 'EACCES') throw error
  }
}
