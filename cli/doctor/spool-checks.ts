import { inspectSpool, type SpoolState } from '../../recordings/inspect-spool.ts'
import { fault, messageOf, ok, warning, type CheckGroup, type Verdict } from './check.ts'

type Limits = 'SPOOL_DIRECTORY' | 'SPOOL_MAX_BYTES' | 'SPOOL_MIN_FREE_BYTES' | 'RECORDING_MAX_BYTES'
type LimitSettings = Record<'SPOOL_MAX_BYTES' | 'SPOOL_MIN_FREE_BYTES' | 'RECORDING_MAX_BYTES', number>

/** The worker's disk, on the machine and as the user of this command. */
export const spoolChecks: CheckGroup<Limits> = {
  names: ['spool', 'spool-space', 'spool-lock'],
  needs: ['SPOOL_DIRECTORY', 'SPOOL_MAX_BYTES', 'SPOOL_MIN_FREE_BYTES', 'RECORDING_MAX_BYTES'],
  async run(settings, { check }) {
    let state: SpoolState | undefined
    await check('spool', async () => {
      state = await inspectSpool(settings.SPOOL_DIRECTORY)
      const { directory, exists } = state
      return ok(exists ? `The directory ${directory} is writable.` : `The directory ${directory} does not exist; a worker can create it.`)
    })
    if (!state) return
    const { isLocked, directory } = state
    const space = checkSpace(state, settings)
    await check('spool-space', async () => space)
    await check('spool-lock', async () =>
      ok(isLocked ? `A worker uses ${directory}: no other worker can.` : `No worker uses ${directory}.`),
    )
  },
  explain: (error, { SPOOL_DIRECTORY: directory }) =>
    fault(`A worker cannot write to ${directory}: ${messageOf(error)}. Correct SPOOL_DIRECTORY or its rights.`, 'SPOOL_DIRECTORY'),
}

function checkSpace({ usedBytes, freeBytes }: SpoolState, settings: LimitSettings): Verdict {
  const { SPOOL_MAX_BYTES: max, SPOOL_MIN_FREE_BYTES: minFree, RECORDING_MAX_BYTES: longest } = settings
  if (max < longest)
    return fault(
      `SPOOL_MAX_BYTES (${max} bytes) is smaller than RECORDING_MAX_BYTES (${longest} bytes): the largest recordings never fit. Raise it, or lower RECORDING_MAX_BYTES.`,
      'SPOOL_MAX_BYTES',
    )
  if (freeBytes < minFree)
    return fault(
      `The disk has ${freeBytes} bytes left, fewer than SPOOL_MIN_FREE_BYTES (${minFree} bytes): no recording is downloaded. Free space, or name another disk in SPOOL_DIRECTORY.`,
      'SPOOL_DIRECTORY',
    )
  if (usedBytes + freeBytes < max + minFree)
    return warning(
      `The disk has ${usedBytes + freeBytes} bytes for the spool, fewer than SPOOL_MAX_BYTES and SPOOL_MIN_FREE_BYTES together (${max + minFree} bytes): downloads wait before the spool is full. Lower SPOOL_MAX_BYTES, or use a larger disk.`,
      'SPOOL_MAX_BYTES',
    )
  return ok(`The disk has ${freeBytes} bytes left; the spool uses ${usedBytes} bytes of at most ${max} bytes.`)
}
