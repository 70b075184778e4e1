// Mails through a real SMTP server that takes them, refuses them for now, or for good.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { pino } from 'pino'
import { SMTPServer } from 'smtp-server'
import { folderPost, noPost, smtpPost, type Post, type PostOptions } from '../../platform/post.ts'

const MAIL = { to: 'somebody@example.com', subject: 'Hello', text: 'A line\n' }
const logger = pino({ level: 'silent' })
const options = (more: Partial<PostOptions> = {}): PostOptions => ({
  from: 'caly <no-reply@example.com>',
  retry: { attempts: 3, firstMs: 1, maxMs: 2 },
  logger,
  mayReceive: async () => true,
  ...more,
})

describe('Over SMTP', () => {
  let server: SMTPServer
  let answers: number[]
  let received: string[]
  let post: Post
  beforeEach(async () => {
    answers = []
    received = []
    server = new SMTPServer({
      secure: false,
      disabledCommands: ['STARTTLS'],
      authOptional: true,
      onAuth: ({ password }, _session, done) => done(password === 'right' ? null : new Error('no'), { user: 'caly' }),
      onData(stream, _session, done) {
        let text = ''
        stream.on('data', (bytes: Buffer) => (text += bytes.toString()))
        stream.on('end', () => {
          received.push(text)
          const code = answers.shift()
          done(code === undefined ? null : Object.assign(new Error('as told'), { responseCode: code }))
        })
      },
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    post = smtpPost(`smtp://caly:right@127.0.0.1:${port()}`, options())
  })
  afterEach(() => new Promise<void>((resolve) => server.close(resolve)))
  const port = (): number => (server.server.address() as { port: number }).port

  async function send(by: Post = post): Promise<void> {
    by.send(MAIL)
    await by.idle(5000)
  }

  test('When the server takes it, then it arrives once, from us to its reader', async () => {
    await send()
    expect(received).toHaveLength(1)
    expect(received[0]).toMatch(/^From: caly <no-reply@example\.com>\r\nTo: somebody@example\.com\r\nSubject: Hello\r\n/)
  })

  test('When the server asks for another try, then it comes again with the same id', async () => {
    answers = [451, 421]
    await send()
    expect(received).toHaveLength(3)
    expect(new Set(received.map((mail) => /Message-ID: (\S+)/i.exec(mail)![1])).size).toBe(1)
  })

  test('When the server refuses it for good, then it is not sent again', async () => {
    answers = [550]
    await send()
    expect(received).toHaveLength(1)
  })

  test('When the server never has room, then we give up after the attempts that are set', async () => {
    answers = Array.from({ length: 9 }, () => 452)
    await send()
    expect(received).toHaveLength(3)
  })

  test('When the reader has had enough of what anybody can cause, then only notices are sent', async () => {
    const full = smtpPost(`smtp://caly:right@127.0.0.1:${port()}`, options({ mayReceive: async () => false }))
    full.send({ ...MAIL, budget: 'reset' })
    await full.idle(5000)
    expect(received).toEqual([])
    await send(full) // a notice
    expect(received).toHaveLength(1)
  })

  test('When it is checked, then it says whether the server is there and takes our credentials', async () => {
    await expect(post.check()).resolves.toMatch(/takes our credentials/)
    await expect(smtpPost(`smtp://caly:wrong@127.0.0.1:${port()}`, options()).check()).rejects.toThrow()
    await expect(smtpPost('smtp://caly:right@127.0.0.1:1', options()).check()).rejects.toThrow(/ECONNREFUSED/)
  })
})

test('When mails go into a folder, then each is a file that a mail program opens', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mail-'))
  try {
    const post = folderPost(folder, options())
    post.send(MAIL)
    post.send(MAIL)
    await post.idle(5000)
    const files = readdirSync(folder).filter((name) => name.endsWith('.eml'))
    expect(files).toHaveLength(2)
    expect(readFileSync(join(folder, files[0]!), 'utf8')).toMatch(/Subject: Hello/)
    await expect(post.check()).resolves.toMatch(/are written to/)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('When no mail server is set, then that is said', async () => {
  const post = noPost(logger)
  post.send(MAIL)
  expect(post.available).toBe(false)
  await expect(post.check()).rejects.toThrow('SMTP_URL is not set')
})
