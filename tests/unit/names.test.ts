// docs/names.md lists the names that are stored or that others rely on.
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { OTHER_REFUSALS } from '../../api/middleware/require-webhook-auth.ts'
import { createActivities } from '../../activities/create.ts'
import * as names from '../../contracts/names.ts'
import { AUTH_FAILURES } from '../../exotel/verify-webhook.ts'

const root = join(import.meta.dirname, '../..')
const page = readFileSync(join(root, 'docs/names.md'), 'utf8')

/** The names in the first column of the table that has this title there. */
function listed(title: string): string[] {
  const table = page.split('\n\n').find((part) => part.startsWith(`| ${title} `))!
  return [...table.matchAll(/^\| `([^`]+)`/gm)].map(([, name]) => name!)
}

/** What the declarations of a type or an array of texts contain. */
function declared(file: string): string[] {
  return [...readFileSync(join(root, file), 'utf8').matchAll(/^ +(?:\| )?'([A-Z]\w+)'/gm)].map(([, name]) => name!)
}

test('When an activity is added or renamed, then the page has its name', () => {
  const anything: unknown = new Proxy(() => anything, {
    get: (_target, key) => (key === Symbol.iterator ? () => [].values() : key === Symbol.toPrimitive ? () => 0 : anything),
  })
  expect(listed('activity').toSorted()).toEqual(Object.keys(createActivities(anything as never)).toSorted())
})

test('When a workflow, a queue, a signal, a query or a search attribute is renamed, then the page has its name', () => {
  const workflows = Object.entries(names).flatMap(([name, value]) => (name.endsWith('_WORKFLOW') ? [value] : []))
  expect(listed('workflow').toSorted()).toEqual(workflows.toSorted())
  const queues = Object.entries(names).flatMap(([name, value]) => (name.endsWith('_QUEUE') ? [value] : []))
  expect(listed('task queue').toSorted()).toEqual([...queues, 'spool-<worker>-<hash>'].toSorted())
  expect(listed('name').toSorted()).toEqual([names.CALL_UPDATED_SIGNAL, names.STATUS_QUERY, ...names.SEARCH_ATTRIBUTES].toSorted())
  for (const schedule of Object.values(names.SCHEDULES)) expect(page).toContain(`\`${schedule}\``)
})

test('When a failure code or an alarm is added, then the page has it', () => {
  const codes = new Set([...declared('contracts/failures.ts'), names.FAILURE_CODE_ATTRIBUTE].filter((code) => code !== 'FailureCode'))
  for (const type of ['SpoolFileLost', 'ExotelRateLimited']) codes.add(type)
  expect(new Set([...listed('code'), ...listed('type')])).toEqual(codes)
  for (const alarm of declared('contracts/alarm-names.ts')) expect(page).toContain(`\`${alarm}\``)
})

test('When a metric is added or renamed, then the page has it with its labels', () => {
  const files = ['accounts', 'activities', 'api', 'calls', 'platform', 'recordings', 'relay'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts') && !file.startsWith('generated'))
      .map((file) => join(root, folder, file)),
  )
  const metrics = files.flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/\b(?:counter|gauge)\(\s*'([a-z_]+)',\s*(?:'[^']*'|"[^"]*")(?:,\s*\[([^\]]*)\])?/g)].map(
      ([, name, labels = '']) => `caly_${name} ${labels.replaceAll(/[',]/g, '')}`.trim(),
    ),
  )
  const table = page.split('\n\n').find((part) => part.startsWith('| metric '))!
  const rows = [...table.matchAll(/^\| `(caly_\w+)` +\|([^|]*)\|/gm)].map(([, name, labels]) =>
    `${name} ${labels!.replaceAll('`', '').trim().replaceAll(/ +/g, ' ')}`.trim(),
  )
  expect(rows.toSorted()).toEqual(metrics.toSorted())
})

test('When a reason to refuse a webhook is added or renamed, then the page has it', () => {
  expect(listed('refusal').toSorted()).toEqual([...Object.keys(AUTH_FAILURES), ...OTHER_REFUSALS].toSorted())
})
