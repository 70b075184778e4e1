// The note is a JSON file for each spool file. It stores what a resumed download needs, and whether the file is complete.
import { readFile, rename, writeFile } from 'node:fs/promises'
import { z } from 'zod'
import { digests, type Digests } from './digests.ts'

const extent = z.object({ bytes: z.number().int().nonnegative(), /** Hex. */ sha256: z.string() })

const spoolNote = z.object({
  /** ETag or Last-Modified of the source. If absent, the download cannot be resumed. */
  validator: z.string().optional(),
  /** The size of the whole recording, if the source sent it. */
  totalBytes: z.number().optional(),
  /** The start of the file that is certainly on the disk. Its hash shows that the file and the note belong together. */
  synced: extent.optional(),
  /** Set when every byte has arrived, or when an incomplete file is kept for the quarantine. */
  complete: digests.optional(),
  /** Why the file is not a whole recording. `isEncoded`: its bytes have a Content-Encoding, so they cannot be read as audio. */
  broken: z.object({ reason: z.string(), isEncoded: z.boolean().optional() }).optional(),
})
export type SpoolNote = z.infer<typeof spoolNote>
export type Broken = NonNullable<SpoolNote['broken']>
/** A complete file, or an incomplete one that is kept for the quarantine. */
export type WholeFile = Digests

/** @returns an empty note if the note is missing or was damaged by a crash; the download then starts again */
export async function readNote(path: string): Promise<SpoolNote> {
  try {
    return spoolNote.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch {
    return {}
  }
}

/** Replaces the note atomically: after a crash, either the old note or the new note exists. */
export async function writeNote(path: string, note: SpoolNote): Promise<void> {
  const fresh = newNotePathOf(path)
  await writeFile(fresh, JSON.stringify(note))
  await rename(fresh, path)
}

/** The path of a note that is being written. */
export function newNotePathOf(path: string): string {
  return `${path}.new`
}
