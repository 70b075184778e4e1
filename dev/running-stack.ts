// The running stack of this project folder. `.data/dev.json` describes it; each command that uses it is registered in `.data/users`.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { othersOf, register } from './lock.mjs'
import { startOf } from './process-start.mjs'
import type { DevStack } from './services.ts'

const USER = 'user'

/** @returns undefined if no stack is running, or `dev.json` belongs to a stack that was killed */
export function findRunning(home: string): DevStack | undefined {
  const file = fileOf(home)
  if (!existsSync(file)) return undefined
  try {
    const stack = JSON.parse(readFileSync(file, 'utf8')) as DevStack
    return stack.processStart !== undefined && startOf(stack.pid) === stack.processStart ? stack : undefined
  } catch {
    return undefined
  }
}

export function announce(home: string, stack: DevStack): void {
  const draft = `${fileOf(home)}.${process.pid}`
  writeFileSync(draft, JSON.stringify(stack, null, 2), { mode: 0o600 })
  renameSync(draft, fileOf(home))
}

/** Removes `dev.json` if it belongs to this process. */
export function withdraw(home: string): void {
  if (findRunning(home)?.pid === process.pid) rmSync(fileOf(home), { force: true })
}

/** Registers this process as a user. A stack runs until its users have ended. @returns a function that ends the use */
export function registerUser(home: string): () => void {
  const end = register(usersOf(home), USER) ?? ((): void => {})
  process.once('exit', end)
  return end
}

/** Whether another process uses the stack of this one. */
export function isUsed(home: string): boolean {
  const users = usersOf(home)
  mkdirSync(users, { recursive: true })
  return othersOf(users, USER).length > 0
}

function fileOf(home: string): string {
  return join(home, 'dev.json')
}

function usersOf(home: string): string {
  return join(home, 'users')
}
