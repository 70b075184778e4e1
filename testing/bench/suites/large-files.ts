// Recordings of 1 GB, one alone and eight at once, against a plain download plus PutObject of the same file.
import { DeleteObjectCommand, paginateListObjectsV2, S3Client } from '@aws-sdk/client-s3'
import { setTimeout as pause } from 'node:timers/promises'
import { startBaseline } from '../baselines/baseline.ts'
import { LARGE_BYTES, type BenchStack } from '../bench-stack.ts'
import type { System } from '../closed-loop.ts'
import { rounded, type Result } from '../numbers.ts'
import { startProduct } from '../product.ts'
import { peakMb, resetPeak, residentMb } from '../process-usage.ts'

const POLL_MS = 50
const AT_ONCE = 8
const TIMEOUT_MS = 30 * 60_000

export async function measureLargeFiles(
  stack: BenchStack,
  { dist, report }: { dist: string; report: (text: string) => void },
): Promise<Result> {
  const start = {
    baseline: () => startBaseline(stack, { engine: 'loop', folder: 'large' }),
    product: () => startProduct(stack, { dist, folder: 'large' }),
  }
  const result: Record<string, Result> = {}
  for (const [name, count] of [
    ['alone', 1],
    ['eightAtOnce', AT_ONCE],
  ] as const) {
    const baseline = await transfer(stack, await start.baseline(), count)
    report(`${name}, baseline: ${JSON.stringify(baseline)}`)
    const product = await transfer(stack, await start.product(), count)
    report(`${name}, product: ${JSON.stringify(product)}`)
    result[name] = { product, baseline, ratio: rounded((product.mbPerSecond as number) / (baseline.mbPerSecond as number)) }
  }
  return result
}

async function transfer(stack: BenchStack, system: System, count: number): Promise<Result> {
  const worker = system.processes.worker!
  try {
    const idleMb = residentMb(worker)
    resetPeak(worker)
    const callSids = Array.from({ length: count }, stack.newCallSid)
    const startedAtMs = performance.now()
    await Promise.all(callSids.map((callSid) => system.submit(callSid)))
    while ((await system.stored(callSids)).length < count) {
      if (performance.now() - startedAtMs > TIMEOUT_MS)
        throw new Error(`Recordings of 1 GB are not stored after ${TIMEOUT_MS / 60_000} min`)
      await pause(POLL_MS)
    }
    const seconds = (performance.now() - startedAtMs) / 1000
    return {
      seconds: rounded(seconds),
      mbPerSecond: rounded((count * LARGE_BYTES) / 1e6 / seconds),
      peakMb: peakMb(worker),
      peakMbAboveIdle: peakMb(worker) - idleMb,
    }
  } finally {
    await system.stop()
    await deleteLargeObjects(stack)
  }
}

/** Without this, the disk would need 18 GB. */
async function deleteLargeObjects({ servers: { s3 } }: BenchStack): Promise<void> {
  const { endpoint, region, bucket, ...credentials } = s3
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true })
  for await (const { Contents = [] } of paginateListObjectsV2({ client }, { Bucket: bucket }))
    for (const { Key, Size = 0 } of Contents) if (Size >= LARGE_BYTES) await client.send(new DeleteObjectCommand({ Bucket: bucket, Key }))
  client.destroy()
}
