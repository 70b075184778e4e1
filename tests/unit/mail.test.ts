// Mail transport: over SMTP with a real server, and into a folder.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { pino } from 'pino'
import { folderMailer, disabledMailer, smtpMailer, type Mailer } from '../../platform/mailer.ts'
import { startMailServer, type MailServer } from '../support/mail-server.ts'

const MAIL = { to: 'somebody@example.com', subject: 'Hello', text: 'A line\n' }
const options = { from: 'caly <no-reply@example.com>', logger: pino({ level: 'silent' }) }

describe('Over SMTP', () => {
  let server: MailServer
  let mailer: Mailer
  beforeEach(async () => {
    server = await startMailServer()
    mailer = smtpMailer(server.url, options)
  })
  afterEach(() => server.close())

  test('When the server accepts a mail, then it arrives once, with our sender, its recipient and the given id', async () => {
    await mailer.deliver(MAIL, 'an-id')
    expect(server.received).toHaveLength(1)
    expect(server.received[0]).toMatch(/^From: caly <no-reply@example\.com>\r\nTo: somebody@example\.com\r\nSubject: Hello\r\n/)
    expect(server.received[0]).toMatch(/^Message-ID: <an-id@example\.com>\r$/im)
  })

  test('When the server rejects a mail, then the mailer does not retry', async () => {
    server.refusals.push({ at: 'DATA', code: 451 })
    await expect(mailer.deliver(MAIL, 'an-id')).rejects.toMatchObject({ responseCode: 451 })
    expect(server.received).toHaveLength(1)
  })

  test('When the mailer is checked, then it reports whether the server is available and accepts our credentials', async () => {
    await expect(mailer.check()).resolves.toMatch(/accepts the credentials/)
    await expect(smtpMailer(server.url.replace('right', 'wrong'), options).check()).rejects.toThrow()
    await expect(smtpMailer('smtp://caly:right@127.0.0.1:1', options).check()).rejects.toThrow(/ECONNREFUSED/)
  })
})

test('When mails are written to a folder, then each one is an .eml file', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mail-'))
  try {
    const mailer = folderMailer(folder, options)
    await Promise.all([mailer.deliver(MAIL, 'one'), mailer.deliver(MAIL, 'two')])
    const files = readdirSync(folder).filter((name) => name.endsWith('.eml'))
    expect(files).toHaveLength(2)
    expect(readFileSync(join(folder, files[0]!), 'utf8')).toMatch(/Subject: Hello/)
    await expect(mailer.check()).resolves.toMatch(/are written to/)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('When no mail server is configured, then deliver and check fail and name SMTP_URL', async () => {
  const mailer = disabledMailer()
  expect(mailer.available).toBe(false)
  await expect(mailer.deliver(MAIL, 'an-id')).rejects.toThrow('SMTP_URL is not set')
  await expect(mailer.check()).rejects.toThrow('SMTP_URL is not set')
})
