// The store refuses requests: whether one object, the settings or the whole store is the cause, and what the worker reports.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { registry } from '../../platform/metrics.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { eventually } from '../support/eventually.ts'
import { startFaultyS3, type FaultyS3 } from '../support/faulty-s3.ts'
import { spoolRecording } from '../support/spooled.ts'

const DENIED = { status: 403, code: 'AccessDenied' }
const UNAVAILABLE = { status: 503, code: 'ServiceUnavailable' }
const FAILURES_IN_A_ROW = 5

let faulty: FaultyS3
let bench: Workbench
beforeAll(async () => {
  faulty = await startFaultyS3()
  bench = await openWorkbench({ s3Endpoint: faulty.url, waitScale: 0.01 }) // the first pause of the breaker is 50 ms
})
afterAll(async () => {
  await bench?.close()
  await faulty?.close()
})
beforeEach(() => {
  faulty.reset()
  bench.restart()
})

const upload = async () => bench.run('uploadRecording', (await spoolRecording(bench)).input)
const waiting = (type: string) => ({ type, nonRetryable: false, category: 'BENIGN' })
const alarms = (): string[] => bench.alarms.active().map(({ name }) => name)

describe('When the store refuses one object,', () => {
  test('and does not tell this key which other objects exist, then a stored object shows that the settings are right', async () => {
    await upload()
    faulty.always('HEAD', /\.probe/, { status: 403 }) // as without the permission to list
    faulty.next('PUT', DENIED)
    await expect(upload()).rejects.toMatchObject(waiting('StorageUnavailable'))
    expect(alarms()).toEqual([])
  })

  test('and is unavailable when this is checked, then nothing is concluded about the settings', async () => {
    faulty.next('PUT', DENIED)
    faulty.next('POST', UNAVAILABLE)
    await expect(upload()).rejects.toMatchObject(waiting('StorageUnavailable'))
    expect(alarms()).toEqual([])
  })
})

describe('When the store was unavailable, so that uploads wait without a request,', () => {
  const breakerState = async () => (await registry.getSingleMetric('caly_store_breaker_state')!.get()).values[0]!.value

  beforeEach(async () => {
    faulty.next('HEAD', ...Array.from({ length: FAILURES_IN_A_ROW }, () => UNAVAILABLE))
    for (let i = 0; i < FAILURES_IN_A_ROW; i += 1) await expect(upload()).rejects.toMatchObject(waiting('StorageUnavailable'))
    expect(alarms()).toEqual(['StorageUnavailable'])
  })

  test('then the metric says so until it is available again', async () => {
    expect(await breakerState()).toBe(2)
    await eventually('an upload to succeed', () => upload().catch(() => undefined))
    expect(await breakerState()).toBe(0)
  })

  test('and answers again, but refuses the key, then the alarm is the one about the settings', async () => {
    faulty.always('HEAD', /^/, { status: 403 })
    await eventually(
      'an upload to be refused',
      () =>
        upload().then(
          () => false,
          ({ type }: { type: string }) => type === 'StorageMisconfigured',
        ),
      5000,
    )
    expect(alarms()).toEqual(['StorageMisconfigured'])
  })
})
