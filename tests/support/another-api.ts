import { freePort } from '../../dev/ports.ts'
import type { Backend } from './backend.ts'
import { eventually } from './eventually.ts'

/** Starts a second API process on the servers of the backend, with other settings, and waits until it is ready. @returns its URL */
export async function startAnotherApi(backend: Backend, env: NodeJS.ProcessEnv): Promise<string> {
  const port = await freePort(0)
  backend.launch('api', { ...env, PORT: String(port), OPERATIONS_PORT: String(await freePort(0)) })
  const url = `http://127.0.0.1:${port}`
  await eventually('the API to be ready', async () => (await fetch(`${url}/health/ready`)).ok)
  return url
}
