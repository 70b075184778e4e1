import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { eventually } from '../support/eventually.ts'
import { newCallSid } from '../support/servers.ts'

let bench: Workbench
beforeAll(async () => {
  bench = await openWorkbench({ waitScale: 0, recovery: { pausesMs: [500, 1000], forMs: 10_000 } })
})
afterAll(() => bench?.close())

const downloadFrom = (host: string) => bench.run('downloadRecording', { callSid: newCallSid(), sourceUrl: `https://${host}/1.mp3` })

test('When links are refused for their hosts, then the alarm names the hosts, and is cleared when no host is refused any more', async () => {
  await expect(downloadFrom('one.example')).rejects.toThrow()
  await expect(downloadFrom('two.example')).rejects.toThrow()
  expect(bench.alarms.active()).toMatchObject([
    { name: 'RecordingHostNotAllowed', reason: expect.stringContaining('one.example, two.example') },
  ])

  await eventually('the alarm to end', async () => bench.alarms.active().length === 0)
})

test('When many hosts are refused, then the alarm names the latest, and ends', async () => {
  for (let i = 0; i < 15; i += 1) await expect(downloadFrom(`h${i}.example`)).rejects.toThrow()
  expect(bench.alarms.active()[0]!.reason).toMatch(/, h14\.example$/)
  await eventually('the alarm to end', async () => bench.alarms.active().length === 0)
})
