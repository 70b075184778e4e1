// A development stack does not use a server of another stack, even if that server responds on the port that the stack has chosen.
import { spawn, type ChildProcess } from 'node:child_process'
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import type { Supervisor, Program } from '../../dev/supervisor.ts'
import { startPostgres } from '../../dev/postgres.ts'
import { ensureBucket, startS3 } from '../../dev/s3-server.ts'
import { startTemporal } from '../../dev/temporal-server.ts'
import { home, servers, uniqueName } from '../support/servers.ts'

let place: string
let child: ChildProcess | undefined
let line: Server | undefined
const sockets = new Set<Socket>()
beforeEach(() => {
  place = join(home, uniqueName('stack'))
  mkdirSync(place)
})
afterEach(() => {
  child?.kill('SIGKILL')
  line?.close()
  for (const socket of sockets) socket.destroy()
})

/** Instead of each server, starts an idle process, and a proxy to the server of this test run on the chosen port. */
function withForeignServer(targetPort: number, portIn: (args: string[]) => string): Supervisor {
  const start = ({ args }: Program): ChildProcess => {
    child = spawn('sleep', ['60'])
    line = createServer((incoming) => {
      const outgoing = connect(targetPort, '127.0.0.1')
      for (const socket of [incoming, outgoing]) sockets.add(socket.on('error', () => {}))
      incoming.pipe(outgoing).pipe(incoming)
    }).listen(Number(portIn(args)), '127.0.0.1')
    return child
  }
  return { start } as unknown as Supervisor
}

const portOf = (url: string): number => Number(new URL(url).port)
const after = (flag: string) => (args: string[]) => args[args.indexOf(flag) + 1]!

test('When a PostgreSQL server with another password responds, then the start fails and reports it', async () => {
  const supervisor = withForeignServer(portOf(servers.databaseUrl), after('-p'))
  await expect(startPostgres(supervisor, { home: place, port: 0, durable: false })).rejects.toThrow(
    /^Another PostgreSQL server responds on port \d+/,
  )
})

test('When a PostgreSQL server with the same password and other data responds, then the start fails and reports it', async () => {
  mkdirSync(join(place, 'data'))
  writeFileSync(join(place, 'initialised'), '')
  copyFileSync(join(home, 'postgres', 'password'), join(place, 'password'))
  const supervisor = withForeignServer(portOf(servers.databaseUrl), after('-p'))
  await expect(startPostgres(supervisor, { home: place, port: 0, durable: false })).rejects.toThrow(
    /^Another PostgreSQL server responds on port \d+/,
  )
})

test('When another Temporal server responds, then the start fails and reports it', async () => {
  const supervisor = withForeignServer(Number(servers.temporal.address.split(':')[1]), after('--port'))
  await expect(startTemporal(supervisor, { port: 0 })).rejects.toThrow(/^Another Temporal server responds at 127\.0\.0\.1:\d+/)
})

test('When another S3 server responds, then it refuses the keys of the stack', async () => {
  const supervisor = withForeignServer(portOf(servers.s3.endpoint), (args) => after('--port')(args).split(':')[1]!)
  const access = await startS3(supervisor, { home: place, port: 0, keys: { accessKeyId: 'of another', secretAccessKey: 'stack' } })
  await expect(ensureBucket(access, uniqueName('recordings'))).rejects.toThrow(/key/i)
})
