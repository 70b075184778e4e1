// Our S3 bucket. What is said to be stored is confirmed: by size and by a checksum that the server computed.
import { PutObjectCommand, type HeadObjectCommandOutput, type S3Client } from '@aws-sdk/client-s3'
import { setTimeout as pause } from 'node:timers/promises'
import { UPLOAD_SIZES, type UploadSizes } from './digests.ts'
import { withFileBody } from './file-body.ts'
import { endUploads, putInParts, sweepUploads, tryUpload } from './multipart.ts'
import { alternativeKey } from './object-key.ts'
import { hashObject, headObject } from './object-reads.ts'
import type { ObjectToStore, PutCondition, TransferControl } from './object-to-store.ts'
import { createS3Client, type StoreSettings } from './s3-client.ts'
import { signContent } from './sign-content.ts'
import { classifyStoreError, isConflict, isNotImplemented, ObjectMismatch } from './store-errors.ts'

/**
 * What the bucket has for a recording. `damaged`: the object has the metadata of this very recording and other bytes. `foreign` names
 * the key of an object of somebody else; the recording's own place is another one then.
 */
export interface Found {
  key: string
  state: 'nothing' | 'same' | 'damaged'
  /** Of the object that is there. */
  etag?: string | undefined
  foreign?: string
}

interface Comparison {
  state: Found['state'] | 'foreign'
  etag?: string | undefined
}

/** A store may show an object only some time after it has accepted it. */
const SHOWN_AFTER_MS = [250, 500, 1000, 2000, 4000, 8000]
/** What an upload is tried with; nothing is stored under it. */
const PROBE_KEY = 'recordings/.probe'

export class RecordingStore {
  readonly bucket: string
  readonly sizes: UploadSizes
  readonly #endpoint: string
  readonly #shownAfterMs: number[]
  readonly #client: S3Client
  /** The store answers 501 to these. */
  readonly #unknownConditions = new Set<keyof PutCondition>()
  /** What another object is compared with: the last one that was confirmed. */
  #knownKey = PROBE_KEY

  /**
   * @param sizes from which size on files go up in parts
   * @param shownAfterMs pauses between the looks for an object that the store says it has
   */
  constructor(settings: StoreSettings, sizes = UPLOAD_SIZES, shownAfterMs = SHOWN_AFTER_MS) {
    this.bucket = settings.bucket
    this.sizes = sizes
    this.#shownAfterMs = shownAfterMs
    this.#endpoint = settings.endpoint
    this.#client = createS3Client(settings)
  }

  urlOf(key: string): string {
    return `${this.#endpoint}/${this.bucket}/${key}`
  }

  /**
   * The place of the object, and what is there. Costs one HEAD where that is nothing or the object itself.
   * @throws the SDK's error, and {@link ObjectMismatch} where foreign objects have both keys
   */
  async find(object: ObjectToStore, control: Omit<TransferControl, 'isCancelled'>): Promise<Found> {
    const { key } = object
    const { state, etag } = await this.#compare(object, control)
    if (state !== 'foreign') return { key, state, etag }
    const alternative = alternativeKey(key, object.sha256)
    const there = await this.#compare({ ...object, key: alternative }, control)
    if (there.state === 'foreign') throw new ObjectMismatch(`Foreign objects lie under ${key} and under ${alternative}`)
    return { key: alternative, state: there.state, etag: there.etag, foreign: key }
  }

  /**
   * Stores the file under its key and confirms it.
   * @param replaces what {@link find} found: nothing, or our own object for this recording with other bytes. Nothing else is ever replaced
   * @throws {ObjectMismatch} or the SDK's error
   */
  async put(object: ObjectToStore, control: TransferControl, replaces: Found): Promise<void> {
    const condition = replaces.state === 'damaged' ? 'IfMatch' : 'IfNoneMatch'
    const value = replaces.state === 'damaged' ? replaces.etag : '*'
    try {
      await this.#send(object, control, this.#unknownConditions.has(condition) ? {} : { [condition]: value })
    } catch (error) {
      if (isNotImplemented(error) && !this.#unknownConditions.has(condition)) {
        this.#unknownConditions.add(condition) // this store serves without: HEAD before and after is what we rely on
        return this.put(object, control, replaces)
      }
      if (!isConflict(error)) throw error
    }
    const { state } = await this.#compareOnceShown(object, control)
    if (state === 'nothing') throw new ObjectMismatch(`The store says that it has ${object.key}, and does not show it`)
    if (state !== 'same') throw new ObjectMismatch(`The bucket holds other bytes under ${object.key} than were sent`)
  }

  async #compareOnceShown(object: ObjectToStore, control: TransferControl): Promise<Comparison> {
    for (const pauseMs of this.#shownAfterMs) {
      const there = await this.#compare(object, control)
      if (there.state !== 'nothing') return there
      await pause(pauseMs, undefined, { signal: control.signal })
    }
    return this.#compare(object, control)
  }

  /** By size and checksum; where HEAD does not give one that we know, the object's bytes are read. */
  async #compare(object: ObjectToStore, { signal, onProgress }: Omit<TransferControl, 'isCancelled'>): Promise<Comparison> {
    const place = { Bucket: this.bucket, Key: object.key }
    const head = await headObject(this.#client, place, signal)
    if (!head) return { state: 'nothing' }
    const isOurs = Object.entries(object.metadata).every(([name, value]) => head.Metadata?.[name] === value)
    const matches = matchesByHead(head, object) ?? (await hashObject(this.#client, place, signal, onProgress)).sha256 === object.sha256
    if (!matches) return { state: isOurs ? 'damaged' : 'foreign', etag: head.ETag }
    this.#knownKey = object.key
    return { state: 'same' }
  }

  /**
   * Reads and writes a little, so that a store that can only be read does not pass. Nothing stays.
   * @throws the SDK's error
   */
  async probe(signal: AbortSignal): Promise<void> {
    await headObject(this.#client, { Bucket: this.bucket, Key: this.#knownKey }, signal)
    await tryUpload(this.#client, { Bucket: this.bucket, Key: PROBE_KEY }, signal)
  }

  /**
   * After a refusal: may we read and write other objects? Without the right to list, S3 refuses a HEAD of what is not there,
   * too: until one object is confirmed, that counts as "no".
   */
  async servesOthers(signal: AbortSignal): Promise<boolean> {
    return this.probe(signal).then(
      () => true,
      (error: unknown) => classifyStoreError(error).of === 'service',
    )
  }

  /** For an object that is stored: ends what other attempts have begun to upload under its key. */
  async endUploads(key: string, signal: AbortSignal): Promise<void> {
    await endUploads(this.#client, { Bucket: this.bucket, Key: key }, signal)
  }

  /** @returns how many uploads in parts, begun before `olderThan` and never completed, were ended */
  async sweepUploads(olderThan: Date, signal: AbortSignal): Promise<number> {
    return sweepUploads(this.#client, this.bucket, olderThan, signal)
  }

  close(): void {
    this.#client.destroy()
  }

  async #send(object: ObjectToStore, control: TransferControl, condition: PutCondition): Promise<void> {
    const common = { Bucket: this.bucket, Key: object.key, ContentType: object.contentType, Metadata: object.metadata }
    if (object.bytes > this.sizes.singlePutMaxBytes)
      return putInParts(this.#client, { ...common, condition }, object, this.sizes.partBytes, control)
    await withFileBody(object.path, undefined, control.signal, async (Body, abortSignal) => {
      let sent = 0
      Body.on('data', (chunk) => control.onProgress((sent += chunk.length)))
      const ContentMD5 = Buffer.from(object.etag, 'hex').toString('base64')
      const command = new PutObjectCommand({ ...common, ...condition, Body, ContentLength: object.bytes, ContentMD5 })
      await this.#client.send(signContent(command, object.sha256), { abortSignal })
    })
  }
}

/** Undefined: the object's bytes have to be read. */
function matchesByHead(head: HeadObjectCommandOutput, object: ObjectToStore): boolean | undefined {
  if (head.ContentLength !== object.bytes) return false
  if (head.ETag?.replaceAll('"', '') === object.etag) return true
  return head.ChecksumSHA256 ? Buffer.from(head.ChecksumSHA256, 'base64').toString('hex') === object.sha256 : undefined
}
