import type { Supervisor } from '../dev/supervisor.ts'

export default async function globalTeardown(): Promise<void> {
  await (globalThis as { supervisor?: Supervisor }).supervisor?.stop()
}
