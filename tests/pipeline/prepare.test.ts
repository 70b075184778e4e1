// What each npm script runs first.
import { spawnSync } from 'node:child_process'
import { readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { copyProject, type ProjectCopy } from '../support/project-copy.ts'

let project: ProjectCopy
beforeAll(() => {
  project = copyProject()
})
afterAll(() => project.remove())

test('When the Prisma client is generated, then .env, which may name a real database, is not read', () => {
  const generated = join(project.folder, 'platform', 'generated')
  rmSync(generated, { recursive: true })
  writeFileSync(join(project.folder, '.env'), 'DATABASE_URL=garbage\n')
  utimesSync(join(project.folder, 'package-lock.json'), 1, 1) // the packages are those of the project itself: never install them here
  const { NO_ENV_FILE: _, DATABASE_URL: __, MIGRATION_DATABASE_URL: ___, ...env } = process.env
  const { status, stderr } = spawnSync(process.execPath, [join(project.folder, 'dev', 'prepare.mjs')], {
    cwd: project.folder,
    env,
    encoding: 'utf8',
    timeout: 100_000,
  })
  expect({ status, stderr }).toEqual({ status: 0, stderr: expect.stringContaining('generating the Prisma client') })
  expect(readFileSync(join(generated, 'client.ts'), 'utf8')).toContain('PrismaClient')
})
