// A development stack does not mistake another program for its API, worker or simulator, even if it responds on the chosen port.
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import type { Supervisor, Program } from '../../dev/supervisor.ts'
import { loadSecrets } from '../../dev/secrets.ts'
import { startServices } from '../../dev/services.ts'
import { home, servers, uniqueName } from '../support/servers.ts'

let place: string
let children: ChildProcess[] = []
let others: Server[] = []
beforeEach(() => {
  place = join(home, uniqueName('services'))
  mkdirSync(place)
})
afterEach(() => {
  for (const child of children) child.kill('SIGKILL')
  for (const other of others) other.close().closeAllConnections()
  children = []
  others = []
})

/** Instead of each process, starts `command`, and another program that responds on all of its ports. */
function withOtherPrograms(command: string, answer: object): Supervisor {
  const start = ({ name, env = {} }: Program): ChildProcess => {
    const child = spawn('sh', ['-c', command])
    children.push(child)
    const ports = name === 'simulator' ? [env.SIMULATOR_PORT] : name === 'api' ? [env.PORT, env.OPERATIONS_PORT] : [env.OPERATIONS_PORT]
    for (const port of ports)
      others.push(createServer((_request, response) => void response.end(JSON.stringify(answer))).listen(Number(port), '127.0.0.1'))
    return child
  }
  return { start, logOf: (name: string) => `${name}.log` } as unknown as Supervisor
}

test('When another program responds and the process of the stack has ended, then the start fails', async () => {
  const supervisor = withOtherPrograms('exit 1', { ready: true, pid: process.pid })
  await expect(startServices(supervisor, servers, loadSecrets(place), place)).rejects.toThrow(
    /^The (worker|api|simulator) process ended with exit code 1: see \w+\.log$/,
  )
})

test('When another program responds before the process of the stack does, then the start waits for its own process', async () => {
  const supervisor = withOtherPrograms('sleep 3; exit 1', { ready: true, pid: process.pid })
  await expect(startServices(supervisor, servers, loadSecrets(place), place)).rejects.toThrow(/ended with exit code 1/)
})
