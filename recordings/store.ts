// Our S3 bucket. After each upload, the stored object is confirmed by its size and by a checksum that the server computed.
import { DeleteObjectCommand, PutObjectCommand, type HeadObjectCommandOutput, type S3Client } from '@aws-sdk/client-s3'
import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { UPLOAD_SIZES, type UploadSizes } from './digests.ts'
import { withFileBody } from './file-body.ts'
import { abortUploads, uploadMultipart, abortOldUploads, probeUpload } from './multipart.ts'
import { alternativeKey } from './object-key.ts'
import { hashObject, headObject } from './object-reads.ts'
import type { ObjectToStore, PutCondition, TransferControl } from './object-to-store.ts'
import { createS3Client, type StoreSettings } from './s3-client.ts'
import { signContent } from './sign-content.ts'
import { classifyStoreError, isConflict, isNotImplemented, isReadRefused, ObjectMismatch, ObjectUnreadable } from './store-errors.ts'

/**
 * What the bucket has under the key of a recording. `damaged`: the object has the metadata of this recording but other bytes.
 * `foreign`: the normal key, if an object that is not ours or not readable has it; `key` is then the alternative key.
 */
export interface KeyContent {
  key: string
  state: 'absent' | 'same' | 'damaged'
  /** The ETag of the existing object. */
  etag?: string | undefined
  foreign?: string
}

interface Comparison {
  state: KeyContent['state'] | 'foreign'
  etag?: string | undefined
}

/** Some stores return a new object only some time after they accepted it. */
const SHOWN_AFTER_MS = [250, 500, 1000, 2000, 4000, 8000]
/** The key of the probe. No object is ever stored under it, so the store answers HEAD with 404 if we may read. */
const PROBE_KEY = 'recordings/.probe'

export class RecordingStore {
  readonly bucket: string
  readonly sizes: UploadSizes
  readonly #endpoint: string
  readonly #shownAfterMs: number[]
  readonly #client: S3Client
  /** The conditions that the store does not implement (HTTP 501). */
  readonly #unknownConditions = new Set<keyof PutCondition>()
  #refusesOverwrites = false
  /** The key that the probe reads: the object that was confirmed last. */
  #knownKey = PROBE_KEY

  /**
   * @param sizes the file size above which uploads are multipart, and the size of a part
   * @param shownAfterMs the pauses between the requests for an object that the store accepted but does not return yet
   */
  constructor(settings: StoreSettings, sizes = UPLOAD_SIZES, shownAfterMs = SHOWN_AFTER_MS) {
    this.bucket = settings.bucket
    this.sizes = sizes
    this.#shownAfterMs = shownAfterMs
    this.#endpoint = settings.endpoint
    this.#client = createS3Client(settings)
  }

  /** The store is known to refuse an object if the key has one already, so an upload need not look first. See {@link detectConditions}. */
  get refusesOverwrites(): boolean {
    return this.#refusesOverwrites
  }

  urlOf(key: string): string {
    return `${this.#endpoint}/${this.bucket}/${key}`
  }

  /**
   * Determines the key of the object, and what the bucket has under it. Usually takes one HEAD request.
   * @throws the SDK's error, {@link ObjectUnreadable}, or {@link ObjectMismatch} if foreign objects have both keys
   */
  async find(object: ObjectToStore, control: Omit<TransferControl, 'isCancelled'>): Promise<KeyContent> {
    const { key } = object
    const { state, etag } = await this.#compare(object, control)
    return state === 'foreign' ? this.findAlternative(object, control) : { key, state, etag }
  }

  /**
   * Like {@link find}, if the normal key has a foreign object, or one that the store repeatedly refuses to return.
   * @throws the same
   */
  async findAlternative(object: ObjectToStore, control: Omit<TransferControl, 'isCancelled'>): Promise<KeyContent> {
    const { key } = object
    const alternative = alternativeKey(key, object.sha256)
    const second = await this.#compare({ ...object, key: alternative }, control)
    if (second.state === 'foreign') throw new ObjectMismatch(`The bucket has foreign objects under ${key} and under ${alternative}`)
    return { key: alternative, state: second.state, etag: second.etag, foreign: key }
  }

  /**
   * Stores the file under its key and confirms it.
   * @param replaces what {@link find} returned: no object, or our damaged object of this recording. No other object is ever replaced.
   * @throws {ObjectMismatch} or the SDK's error
   */
  async put(object: ObjectToStore, control: TransferControl, replaces: KeyContent): Promise<void> {
    const condition = conditionFor(replaces)
    const [name] = Object.keys(condition) as (keyof PutCondition)[]
    const isSent = name !== undefined && !this.#unknownConditions.has(name)
    let answer = `accepted ${object.key}`
    try {
      const etag = await this.#send(object, control, isSent ? condition : {})
      if (etag === object.etag) return void (this.#knownKey = object.key)
    } catch (error) {
      if (isSent && isNotImplemented(error)) {
        this.#unknownConditions.add(name)
        return this.put(object, control, replaces)
      }
      if (!isConflict(error)) throw error
      answer = `refused ${object.key} with ${classifyStoreError(error).reason}`
    }
    const { state } = await this.#compareOnceShown(object, control)
    if (state === 'absent') throw new ObjectMismatch(`The store ${answer}, but a HEAD request does not find it`)
    if (state !== 'same') throw new ObjectMismatch(`The bucket has other bytes under ${object.key} than the bytes that were sent`)
  }

  /**
   * Without a condition, the store replaces whatever has the key. So this compares again, immediately before the object is stored.
   * @throws {ObjectMismatch} if the key has another object than our damaged one; the next attempt decides what follows
   */
  async #assertReplaceable(object: ObjectToStore, control: TransferControl): Promise<void> {
    const { state } = await this.#compare(object, control)
    if (state === 'same' || state === 'foreign') throw new ObjectMismatch(`Another upload stored an object under ${object.key}`)
  }

  async #compareOnceShown(object: ObjectToStore, control: TransferControl): Promise<Comparison> {
    for (const pauseMs of this.#shownAfterMs) {
      const comparison = await this.#compare(object, control)
      if (comparison.state !== 'absent') return comparison
      await pause(pauseMs, undefined, { signal: control.signal })
    }
    return this.#compare(object, control)
  }

  /** @throws {ObjectUnreadable} or the SDK's error */
  async #compare(object: ObjectToStore, control: Omit<TransferControl, 'isCancelled'>): Promise<Comparison> {
    try {
      return await this.#readAndCompare(object, control)
    } catch (error) {
      if (!isReadRefused(error) || !(await this.#answersFor(PROBE_KEY, control.signal))) throw error
      throw new ObjectUnreadable(`The store refuses to return ${object.key}, but not others: ${classifyStoreError(error).reason}`)
    }
  }

  async #answersFor(Key: string, signal: AbortSignal): Promise<boolean> {
    return headObject(this.#client, { Bucket: this.bucket, Key }, signal).then(
      () => true,
      () => false,
    )
  }

  /**
   * Compares by size and checksum. If HEAD returns no checksum that we can compare, reads the bytes of the object. An object of another
   * size cannot have our bytes, so its bytes are not read: our own damaged object is recognized by its metadata, which HEAD reads.
   */
  async #readAndCompare(object: ObjectToStore, { signal, onProgress }: Omit<TransferControl, 'isCancelled'>): Promise<Comparison> {
    const place = { Bucket: this.bucket, Key: object.key }
    const head = await headObject(this.#client, place, signal)
    if (!head) return { state: 'absent' }
    const isOurs = Object.entries(object.metadata).every(([name, value]) => head.Metadata?.[name] === value)
    const matches = matchesByHead(head, object) ?? (await hashObject(this.#client, place, signal, onProgress)).sha256 === object.sha256
    if (!matches) return { state: isOurs ? 'damaged' : 'foreign', etag: head.ETag }
    this.#knownKey = object.key
    return { state: 'same' }
  }

  /** Finds out whether the store refuses a second object under the same key. Stores a small object and deletes it. */
  async detectConditions(abortSignal: AbortSignal): Promise<void> {
    const place = { Bucket: this.bucket, Key: `${PROBE_KEY}-${randomUUID()}` }
    const put = (condition: PutCondition): Promise<unknown> =>
      this.#client.send(new PutObjectCommand({ ...place, ...condition, Body: 'probe' }), { abortSignal })
    await put({})
    try {
      await put({ IfNoneMatch: '*' })
      this.#refusesOverwrites = false
    } catch (error) {
      if (!isConflict(error) && !isNotImplemented(error)) throw error
      this.#refusesOverwrites = isConflict(error)
    } finally {
      await this.#client.send(new DeleteObjectCommand(place)).catch(() => {}) // best effort: a few bytes remain
    }
  }

  /**
   * Sends one read and one write, so that a store that cannot be written to fails the probe. Leaves no object.
   * @throws the SDK's error
   */
  async probe(signal: AbortSignal): Promise<void> {
    await headObject(this.#client, { Bucket: this.bucket, Key: this.#knownKey }, signal)
    await probeUpload(this.#client, { Bucket: this.bucket, Key: PROBE_KEY }, signal)
  }

  /**
   * Sends a write and leaves no object.
   * @throws an error that names the code of the store's response and contains no secrets
   */
  async assertWritable(signal: AbortSignal): Promise<void> {
    await probeUpload(this.#client, { Bucket: this.bucket, Key: PROBE_KEY }, signal).catch((error: unknown) => {
      throw new Error(classifyStoreError(error).reason, { cause: error })
    })
  }

  /**
   * Call after the store refused one object. Without the permission to list, S3 also refuses a HEAD of an object that does not exist, so
   * the result may be false until one object is confirmed.
   * @returns false if the store refuses other objects too: then the setup is wrong. True also if the store is unavailable, because that
   *   does not show a wrong setup.
   */
  async acceptsOtherObjects(signal: AbortSignal): Promise<boolean> {
    return this.probe(signal).then(
      () => true,
      (error: unknown) => classifyStoreError(error).of === 'service',
    )
  }

  /** For an object that is stored: aborts the open multipart uploads of other attempts under its key. */
  async abortUploads(key: string, signal: AbortSignal): Promise<void> {
    await abortUploads(this.#client, { Bucket: this.bucket, Key: key }, signal)
  }

  /** @returns the number of aborted multipart uploads, which were started before `olderThan` and never completed */
  async abortOldUploads(olderThan: Date, signal: AbortSignal): Promise<number> {
    return abortOldUploads(this.#client, this.bucket, olderThan, signal)
  }

  close(): void {
    this.#client.destroy()
  }

  /** @returns the ETag that the store computed. Undefined after a multipart upload, whose bytes the store has not read as a whole */
  async #send(object: ObjectToStore, control: TransferControl, condition: PutCondition): Promise<string | undefined> {
    const common = { Bucket: this.bucket, Key: object.key, ContentType: object.contentType, Metadata: object.metadata }
    const beforeStored = async (): Promise<void> => {
      if (Object.keys(condition).length === 0) await this.#assertReplaceable(object, control)
    }
    if (object.bytes > this.sizes.singlePutMaxBytes) {
      await uploadMultipart(this.#client, { ...common, condition, beforeStored }, object, this.sizes.partBytes, control)
      return undefined
    }
    await beforeStored()
    return withFileBody(object.path, undefined, control.signal, async (Body, abortSignal) => {
      let sent = 0
      Body.on('data', (chunk) => control.onProgress((sent += chunk.length)))
      const ContentMD5 = Buffer.from(object.etag, 'hex').toString('base64')
      const command = new PutObjectCommand({ ...common, ...condition, Body, ContentLength: object.bytes, ContentMD5 })
      const { ETag } = await this.#client.send(signContent(command, object.sha256), { abortSignal })
      return ETag?.replaceAll('"', '')
    })
  }
}

/** No other object may be replaced. Empty if the store returned no ETag of our damaged object. */
function conditionFor({ state, etag }: KeyContent): PutCondition {
  if (state !== 'damaged') return { IfNoneMatch: '*' }
  return etag === undefined ? {} : { IfMatch: etag }
}

/** Compares by the response to HEAD. Undefined if the bytes of the object must be read. */
function matchesByHead(head: HeadObjectCommandOutput, object: ObjectToStore): boolean | undefined {
  if (head.ContentLength === undefined) return undefined
  if (head.ContentLength !== object.bytes) return false
  if (head.ETag?.replaceAll('"', '') === object.etag) return true
  const sha256 = sha256Of(head)
  return sha256 === undefined ? undefined : sha256 === object.sha256
}

/** The SHA-256 of the object (hex). A composite checksum, such as `…=-3`, is a hash of the hashes of parts, whose sizes we do not know. */
function sha256Of({ ChecksumSHA256, ChecksumType }: HeadObjectCommandOutput): string | undefined {
  if (!ChecksumSHA256 || ChecksumType === 'COMPOSITE' || ChecksumSHA256.includes('-')) return undefined
  return Buffer.from(ChecksumSHA256, 'base64').toString('hex')
}
