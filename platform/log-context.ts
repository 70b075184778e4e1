import { AsyncLocalStorage } from 'node:async_hooks'

const storage = new AsyncLocalStorage<Record<string, string>>()

/** Every line that is logged within carries these fields: one request's, or one recording's, whoever writes it. */
export function withLogContext<T>(fields: Record<string, string | undefined>, work: () => T): T {
  const said = Object.fromEntries(Object.entries(fields).filter((entry): entry is [string, string] => Boolean(entry[1])))
  return storage.run({ ...storage.getStore(), ...said }, work)
}

export function logContext(): Record<string, string> {
  return storage.getStore() ?? {}
}
