// The product's workflow reduced to its shape: four activities, and a link that arrives with the start or in a signal.
import { condition, defineSignal, proxyActivities, proxyLocalActivities, setHandler, workflowInfo } from '@temporalio/workflow'
import type { Downloaded, Steps } from './steps.ts'

const retry = { initialInterval: '1s', backoffCoefficient: 2, maximumAttempts: 3 } as const
const options = { startToCloseTimeout: '60s', retry } as const

export const linkArrived = defineSignal('linkArrived')

/** Download on the shared queue, the other three on the queue of the worker that has the file: the shape of the product. */
export async function Host3Workflow(callSid: string, isLate: boolean): Promise<void> {
  await untilLink(isLate)
  const { download } = proxyActivities<Steps>(options)
  const { hostQueue, ...file } = (await download(callSid)) as Downloaded & { hostQueue: string }
  const host = proxyActivities<Steps>({ ...options, taskQueue: hostQueue, scheduleToStartTimeout: '1m' })
  await host.update(await host.upload(await host.validate(file)))
}

/** All four steps in one workflow task. */
export async function LocalWorkflow(callSid: string, isLate: boolean): Promise<void> {
  await untilLink(isLate)
  const steps = proxyLocalActivities<Steps>(options)
  await steps.update(await steps.upload(await steps.validate(await steps.download(callSid))))
}

async function untilLink(isLate: boolean): Promise<void> {
  let hasLink = !isLate
  setHandler(linkArrived, () => void (hasLink = true))
  if (!(await condition(() => hasLink, '1h'))) throw new Error(`No link arrived for ${workflowInfo().workflowId}`)
}
