import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const BETWEEN_MKDIR_AND_WRITE_MS = 2000

/** Runs one at a time over all processes; a lock whose owner is dead is taken over. mkdir is atomic. */
export async function withLock(folder, work) {
  await take(folder)
  const release = () => rmSync(folder, { recursive: true, force: true })
  process.once('exit', release) // where the work is cut
  try {
    return await work()
  } finally {
    process.off('exit', release)
    release()
  }
}

async function take(folder) {
  for (let told = false; ;) {
    try {
      mkdirSync(folder)
      return writeFileSync(join(folder, 'pid'), String(process.pid))
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
    if (!ownerLives(folder)) rmSync(folder, { recursive: true, force: true })
    else if (!told) told = console.error('  … waiting for another command that prepares the same') ?? true
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

function ownerLives(folder) {
  const fresh = () => existsSync(folder) && Date.now() - statSync(folder).mtimeMs < BETWEEN_MKDIR_AND_WRITE_MS
  try {
    const pid = Number(readFileSync(join(folder, 'pid'), 'utf8'))
    if (!pid) return fresh()
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'ENOENT' ? fresh() : error.code === 'EPERM'
  }
}
