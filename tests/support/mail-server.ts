// A real SMTP server that takes mails, or refuses them as it is told.
import type { AddressInfo } from 'node:net'
import { SMTPServer } from 'smtp-server'

export interface MailServer {
  /** With the user and password that it takes. */
  url: string
  /** Whole mails, the refused ones too. */
  received: string[]
  /** SMTP codes for the next mails; without one, a mail is taken. */
  answers: number[]
  close(): Promise<void>
}

export async function startMailServer(port = 0): Promise<MailServer> {
  const received: string[] = []
  const answers: number[] = []
  const server = new SMTPServer({
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
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    url: `smtp://caly:right@127.0.0.1:${(server.server.address() as AddressInfo).port}`,
    received,
    answers,
    close: () => new Promise<void>((resolve) => server.close(() => resolve())),
  }
}
