import { PutObjectCommand } from '@aws-sdk/client-s3'
import { createHash } from 'node:crypto'
import type { CallSid } from '../../contracts/call-sid.ts'
import { concludeRecording } from '../../calls/conclude-recording.ts'
import { RECOVERY, type Workbench } from './activities.ts'
import { newCallSid } from './servers.ts'

export interface StoredRecording {
  /** `recordings.id` */
  id: string
  callSid: CallSid
  key: string
  sha256: string
}

/** Puts an object into the bucket and concludes its recording, like the recording's run. */
export async function storeRecording(
  bench: Workbench,
  bytes: Buffer,
  state: 'stored' | 'quarantined' = 'stored',
): Promise<StoredRecording> {
  const callSid = newCallSid()
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const key = `${state === 'stored' ? 'recordings' : 'quarantine'}/2026/11/26/${callSid}-${sha256.slice(0, 12)}.mp3`
  await bench.bucket.client.send(new PutObjectCommand({ Bucket: bench.bucket.name, Key: key, Body: bytes }))
  const sourceUrl = `https://recordings.exotel.com/a/${callSid}.mp3`
  const audio = { contentType: 'audio/mpeg', extension: 'mp3' }
  const object = { bucket: bench.bucket.name, key, url: `https://s3.example.com/${key}`, bytes: bytes.length, sha256, audio }
  const outcome =
    state === 'stored' ? { state, ...object } : ({ state, code: 'RecordingDamaged', error: 'not accepted', ...object } as const)
  await concludeRecording(bench.database, { callSid, sourceUrl, outcome }, { attempt: `${state} ${callSid}`, plan: RECOVERY })
  const { id } = await bench.database.recording.findFirstOrThrow({ where: { callSid } })
  return { id: String(id), callSid, key, sha256 }
}
