// The note beside each spool file: what a resumed download needs, and whether the file is whole.
import { readFile, rename, writeFile } from 'node:fs/promises'
import { z } from 'zod'

const extent = z.object({ bytes: z.number().int().nonnegative(), /** Hex. */ sha256: z.string() })

const spoolNote = z.object({
  /** ETag or Last-Modified of the source; absent: it cannot be resumed. */
  validator: z.string().optional(),
  /** Of the whole recording, if the source said it. */
  totalBytes: z.number().optional(),
  /** The beginning of the file that is certainly on the disk. Its hash proves that file and note belong together. */
  synced: extent.optional(),
  /** Set once every byte has arrived, or as many as are kept. */
  complete: extent.optional(),
  /** Why the file is not a whole recording. `isEncoded`: its bytes have a Content-Encoding, so they cannot be read as audio. */
  broken: z.object({ reason: z.string(), isEncoded: z.boolean().optional() }).optional(),
})
export type SpoolNote = z.infer<typeof spoolNote>
export type Broken = NonNullable<SpoolNote['broken']>
export type WholeFile = z.infer<typeof extent>

/** @returns an empty note if there is none or if a crash has cut it: the download starts again */
export async function readNote(path: string): Promise<SpoolNote> {
  try {
    return spoolNote.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch {
    return {}
  }
}

/** Replaces the note atomically: after a crash the old note or the new one is there. */
export async function writeNote(path: string, note: SpoolNote): Promise<void> {
  const fresh = newNotePathOf(path)
  await writeFile(fresh, JSON.stringify(note))
  await rename(fresh, path)
}

/** A note that is being written. */
export function newNotePathOf(path: string): string {
  return `${path}.new`
}
