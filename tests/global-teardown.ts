import type { Keeper } from '../dev/keeper.ts'

export default async function globalTeardown(): Promise<void> {
  await (globalThis as { keeper?: Keeper }).keeper?.stop()
}
