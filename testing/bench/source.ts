// The server that recordings are downloaded from, as a process of its own, so that its CPU time counts for no system:
// `source.ts PORT FILE LARGE_BYTES`. `/recordings/<any>` is the file, `/large/<any>` a WAV file of that size. Everything else is 404, as
// Exotel's API responds for an unknown call.
import { readFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import { once } from 'node:events'
import { randomBytes } from 'node:crypto'

const [port, file, largeBytes] = process.argv.slice(2) as [string, string, string]
const recording = readFileSync(file)
const large = { header: wavHeader(Number(largeBytes)), chunk: randomBytes(1024 ** 2) }

const server = createServer((request, response) => {
  if (request.url?.startsWith('/recordings/')) {
    response.writeHead(200, { 'content-type': 'audio/mpeg', 'content-length': recording.length, etag: '"recording"' }).end(recording)
  } else if (request.url?.startsWith('/large/')) {
    void sendLarge(response)
  } else response.writeHead(404, { 'content-type': 'application/json' }).end('{"RestException":{"Status":404}}')
})
server.keepAliveTimeout = 60_000
server.listen(Number(port), '127.0.0.1')
process.once('SIGTERM', () => process.exit(0))

async function sendLarge(response: ServerResponse): Promise<void> {
  const total = Number(largeBytes)
  response.writeHead(200, { 'content-type': 'audio/wav', 'content-length': total, etag: '"large"' })
  response.write(large.header)
  for (let sent = large.header.length; sent < total && !response.destroyed;) {
    const chunk = large.chunk.subarray(0, Math.min(large.chunk.length, total - sent))
    sent += chunk.length
    if (!response.write(chunk)) await Promise.race([once(response, 'drain'), once(response, 'close')])
  }
  response.end()
}

/** 16-bit PCM, mono, 8 kHz. */
function wavHeader(totalBytes: number): Buffer {
  const header = Buffer.alloc(44)
  header.write('RIFF', 0, 'latin1')
  header.writeUInt32LE(totalBytes - 8, 4)
  header.write('WAVEfmt ', 8, 'latin1')
  header.writeUInt32LE(16, 16)
  header.writeUInt16LE(1, 20)
  header.writeUInt16LE(1, 22)
  header.writeUInt32LE(8000, 24)
  header.writeUInt32LE(16_000, 28)
  header.writeUInt16LE(2, 32)
  header.writeUInt16LE(16, 34)
  header.write('data', 36, 'latin1')
  header.writeUInt32LE(totalBytes - 44, 40)
  return header
}
