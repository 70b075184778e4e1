import { AsyncLocalStorage } from 'node:async_hooks'

const storage = new AsyncLocalStorage<Record<string, string>>()

/** Adds these fields, such as those of a request or a recording, to every line that is logged during `work`. */
export function withLogContext<T>(fields: Record<string, string | undefined>, work: () => T): T {
  const defined = Object.fromEntries(Object.entries(fields).filter((entry): entry is [string, string] => Boolean(entry[1])))
  return storage.run({ ...storage.getStore(), ...defined }, work)
}

export function logContext(): Record<string, string> {
  return storage.getStore() ?? {}
}
