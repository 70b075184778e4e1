// Wheels from a package index on this machine, which answers as pip's indexes do.
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals'
import { listWheels } from '../../dev/package-index.mjs'
import { unpackWheels } from '../../dev/wheels.mjs'

const PLATFORM = { linux: 'manylinux2014', darwin: 'macosx_11_0' }[process.platform as 'linux' | 'darwin']
const ARCH = process.arch === 'x64' ? 'x86_64' : process.platform === 'linux' ? 'aarch64' : 'arm64'
const WHEEL = `some_tool-1.2-py3-none-${PLATFORM}_${ARCH}.whl`
/** A zip file of the entry `tool-1.2.data/scripts/tool`, which is executable and contains "#!tool\n". */
const ZIP = Buffer.from(
  'UEsDBBQAAAAAAAAAIVAeysiqBwAAAAcAAAAaAAAAdG9vbC0xLjIuZGF0YS9zY3JpcHRzL3Rvb2wjIXRvb2wKUEsBAhQDFAAAAAAAAAAhUB7KyKoHAAAABwAAABoAAAAAAAAAAAAAAO2BAAAAAHRvb2wtMS4yLmRhdGEvc2NyaXB0cy90b29sUEsFBgAAAAABAAEASAAAAD8AAAAAAA==',
  'base64',
)
const SHA256 = createHash('sha256').update(ZIP).digest('hex')

let server: Server
let folder: string
let url: string
let answer: RequestListener
const environment = { ...process.env }
beforeEach(async () => {
  jest.spyOn(console, 'error').mockReturnValue() // says what it does
  server = createServer((request, response) => answer(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  folder = mkdtempSync(join(tmpdir(), 'wheels-'))
  process.env.PIP_CONFIG_FILE = '/dev/null'
  process.env.PIP_INDEX_URL = `${url}/simple`
})
afterEach(() => {
  jest.restoreAllMocks()
  process.env = { ...environment }
  server.close()
  rmSync(folder, { recursive: true })
})

const serve =
  (index: { type: string; text: string }): RequestListener =>
  ({ url: path }, response) => {
    if (path === '/simple/some-tool/') response.writeHead(200, { 'content-type': index.type }).end(index.text)
    else if (path === `/files/${WHEEL}`) response.writeHead(200, { 'content-length': ZIP.length }).end(ZIP)
    else response.writeHead(404).end()
  }
const JSON_INDEX = {
  type: 'application/vnd.pypi.simple.v1+json',
  text: JSON.stringify({
    files: [
      { filename: 'some_tool-1.2.tar.gz', url: '/x' },
      { filename: WHEEL, url: `/files/${WHEEL}` },
    ],
  }),
}
const HTML_INDEX = { type: 'text/html', text: `<html><body><a href="../../files/${WHEEL}#sha256=x&amp;y">${WHEEL}</a></body></html>` }

/** Unpacks what a requirements file with this hash pins. */
function unpack(hash = SHA256): Promise<void> {
  const requirements = join(folder, 'requirements.txt')
  writeFileSync(requirements, `# A tool.\nsome-tool==1.2 \\\n    --hash=sha256:${'0'.repeat(64)} \\\n    --hash=sha256:${hash}\n`)
  return unpackWheels(requirements, join(folder, 'out'), (entry: string) => (entry.includes('/scripts/') ? 'bin/tool' : undefined))
}

test.each([
  ['JSON', JSON_INDEX],
  ['HTML', HTML_INDEX],
])('When an index answers in %s, then the pinned wheel is unpacked, and its programs are executable', async (_form, index) => {
  answer = serve(index)
  await unpack()
  const program = join(folder, 'out', 'bin', 'tool')
  expect(readFileSync(program, 'utf8')).toBe('#!tool\n')
  expect(statSync(program).mode & 0o111).toBe(0o111)
  expect(existsSync(join(folder, 'out', 'some-tool.whl'))).toBe(false)
})

test('When a wheel has another hash than is pinned, then it is not unpacked', async () => {
  answer = serve(JSON_INDEX)
  await expect(unpack('1'.repeat(64))).rejects.toThrow(/has another SHA-256/)
  expect(existsSync(join(folder, 'out', 'bin'))).toBe(false)
})

test('When the index lacks a wheel for this platform, then the error names project, version and platform', async () => {
  answer = serve({ ...JSON_INDEX, text: JSON.stringify({ files: [] }) })
  await expect(unpack()).rejects.toThrow(`no some-tool 1.2 for ${process.platform} ${process.arch}`)
})

test('When the index answers with an error, then the error names address and status', async () => {
  answer = (_request, response) => response.writeHead(503).end()
  await expect(unpack()).rejects.toThrow(`${url}/simple/some-tool/ answers 503`)
})

test('When the address of the index has a user and a password, then they are sent to the index, and never printed', async () => {
  process.env.PIP_INDEX_URL = url.replace('http://', 'http://user:p%40ss@')
  const seen: (string | undefined)[] = []
  answer = ({ headers }, response) => {
    seen.push(headers.authorization)
    response.writeHead(404).end()
  }
  await expect(listWheels('some-tool')).rejects.toThrow(`${url}/some-tool/ answers 404`)
  expect(seen).toEqual([`Basic ${Buffer.from('user:p@ss').toString('base64')}`])
})

test('When pip’s configuration names an index, then that one is used', async () => {
  delete process.env.PIP_INDEX_URL
  process.env.PIP_CONFIG_FILE = join(folder, 'pip.conf')
  writeFileSync(process.env.PIP_CONFIG_FILE, `[global]\ntimeout = 3\nindex-url = ${url}/simple\n`)
  answer = serve(HTML_INDEX)
  expect(await listWheels('some-tool')).toMatchObject([{ filename: WHEEL }])
})
