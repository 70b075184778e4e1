// The process that does the work of a baseline. It is forked: it reports `ready`, and without an engine it receives CallSids. It ends
// with its parent.
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker'
import { createSteps, type Downloaded } from './steps.ts'
import { TASK_QUEUE, type BaselineSettings } from './settings.ts'

const settings = JSON.parse(process.argv[2]!) as BaselineSettings
const steps = createSteps(settings)
process.once('disconnect', () => process.exit(0))
await (settings.engine === 'loop' ? runLoop() : runTemporal(settings.temporal))
process.send!('ready')

async function runLoop(): Promise<void> {
  process.on('message', (callSid: string) => {
    void steps.download(callSid).then(steps.validate).then(steps.upload).then(steps.update)
  })
}

async function runTemporal({ address, namespace, bundle }: BaselineSettings['temporal']): Promise<void> {
  Runtime.install({ logger: new DefaultLogger('ERROR') })
  const connection = await NativeConnection.connect({ address })
  const hostQueue = `${TASK_QUEUE}-${process.pid}`
  const activities = {
    ...steps,
    download: async (callSid: string): Promise<Downloaded> => ({ ...(await steps.download(callSid)), hostQueue }) as Downloaded,
  }
  const options = { connection, namespace, activities, workflowBundle: { codePath: bundle } }
  const workers = [await Worker.create({ ...options, taskQueue: TASK_QUEUE })]
  if (settings.engine === 'temporal-host3') workers.push(await Worker.create({ connection, namespace, activities, taskQueue: hostQueue }))
  for (const worker of workers) void worker.run()
}
