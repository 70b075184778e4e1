import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { loadComposeSecrets, shellDefaults } from '../../cli/compose-secrets.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'compose-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const compose = readFileSync(new URL('../../docker-compose.yml', import.meta.url), 'utf8')

/** The text of each service by its name. */
const services = new Map(
  compose
    .split(/^services:$/m)[1]!
    .split(/^volumes:$/m)[0]!
    .split(/^ {2}(?=[a-z0-9-]+:$)/m)
    .slice(1)
    .map((text) => [text.split(':')[0]!, text]),
)

test('When ports are published, then they are reachable only from this machine', () => {
  const published = [...compose.matchAll(/^ +- '([^']*:\d+)'/gm)].map(([, port]) => port!)
  expect(published.length).toBeGreaterThan(2)
  expect(published.filter((port) => !port.startsWith('127.0.0.1:'))).toEqual([])
})

test('When a service exists, then its file system is read-only, and its privileges and memory are limited', () => {
  const confined = /^x-confined: &confined\n(?: {2}.*\n)+/m.exec(compose)![0]
  for (const line of ['read_only: true', 'cap_drop: [ALL]', "security_opt: ['no-new-privileges:true']", 'mem_limit: 1g']) {
    expect(confined).toContain(line)
  }
  expect(compose).toMatch(/^x-app: &app\n {2}<<: \*confined\n/m)
  expect([...services.keys()]).toEqual(expect.arrayContaining(['postgres', 'temporal', 's3', 'migrate', 'temporal-setup', 'api', 'worker']))
  for (const [name, text] of services) {
    expect({ name, isConfined: /^ {4}<<: \*(confined|app)$/m.test(text) }).toEqual({ name, isConfined: true })
    expect(text).not.toMatch(/privileged|read_only: false|cap_drop|security_opt/)
  }
  const asRoot = [...services].filter(([, text]) => /user: root/.test(text)).map(([name]) => name)
  expect(asRoot).toEqual(['prepare'])
})

const stages = readFileSync(new URL('../../Dockerfile', import.meta.url), 'utf8').split(/^(?=FROM )/m)

test('When an image is built, then it does not run as root, and its packages are those of the lock file, without install scripts', () => {
  const images = stages.filter((stage) => /^CMD/m.test(stage))
  expect(images.map((stage) => /^FROM .* AS (.*)$/m.exec(stage)?.[1])).toEqual(['release', 'runtime'])
  for (const image of images) {
    expect([...image.matchAll(/^USER (.*)$/gm)].map(([, user]) => user)).toEqual(['node'])
    expect(image.slice(image.indexOf('USER node'))).not.toMatch(/^(?:COPY|ADD|RUN)/m)
    expect(image).toMatch(/^CMD \["node", /m)
    expect(image).not.toMatch(/sudo|setuid|chmod/)
  }
  for (const install of stages.join('').matchAll(/npm (?:ci|i|install).*/g)) expect(install[0]).toMatch(/^npm ci .*--ignore-scripts/)
})

test('When no target is named, then the runtime image is built; only migrations use the release image', () => {
  expect(stages.at(-1)).toMatch(/ AS runtime$/m)
  expect(/^x-app: &app\n(?: {2}.*\n)+/m.exec(compose)![0]).toMatch(/ image: caly-backend\n {2}build: \{ context: \., target: runtime \}/)
  const withRelease = [...services].filter(([, text]) =>
    /image: caly-backend-release\n {4}build: \{ context: \., target: release \}/.test(text),
  )
  expect(withRelease.map(([name]) => name)).toEqual(['migrate'])
})

test('When secrets are generated, then the next start returns the same, and only their owner can read them', () => {
  const path = join(folder, 'secrets.json')
  const secrets = loadComposeSecrets(path)
  expect(loadComposeSecrets(path)).toEqual(secrets)
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(new Set(Object.values(secrets)).size).toBe(5)
  for (const secret of Object.values(secrets)) expect(secret).toMatch(/^[0-9a-f]{20,}$/)
  expect(loadComposeSecrets(join(folder, 'other.json'))).not.toEqual(secrets)
})

test('When a shell reads the file, then variables that are set keep their values, and missing or empty ones are set', () => {
  const path = join(folder, 'app.sh')
  writeFileSync(path, shellDefaults({ GIVEN: 'no', EMPTY: 'generated', ABSENT: 'postgresql://a:b@c:5432/d', OTHER: '${GIVEN:-no}' }))
  const env = { PATH: process.env.PATH, GIVEN: 'of the user', EMPTY: '' }
  const script = `. '${path}' && exec "$0" "$@"`
  const print = 'console.log([process.env.GIVEN, process.env.EMPTY, process.env.ABSENT, process.env.OTHER].join("|"))'
  expect(execFileSync('/bin/sh', ['-c', script, process.execPath, '-e', print], { env, encoding: 'utf8' }).trim()).toBe(
    'of the user|generated|postgresql://a:b@c:5432/d|of the user',
  )
})

test('When prisma.config.ts imports our files, then the release image contains them', () => {
  const sourceOf = (file: string): string => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')
  const imported = [...sourceOf('prisma.config.ts').matchAll(/from '\.\/(.+)'/g)].map(([, file]) => file!)
  expect(imported).toEqual(['platform/database-url.ts'])
  for (const file of imported) {
    expect(sourceOf('Dockerfile')).toMatch(new RegExp(`^COPY ${file} `, 'm'))
    expect(sourceOf(file)).not.toMatch(/from '\./) // that file would be missing in the image
  }
})
