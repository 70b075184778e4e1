// A real SMTP server that accepts or rejects mails as a test configures it.
import type { AddressInfo } from 'node:net'
import { SMTPServer } from 'smtp-server'

/** Rejects the next mail at this command. */
export interface Refusal {
  at: 'MAIL FROM' | 'RCPT TO' | 'DATA'
  code: number
  text?: string
}

export interface MailServer {
  /** Contains the user and password that the server accepts. */
  url: string
  /** All received mails, including those rejected at DATA. */
  received: string[]
  /** Applied to the next mails, in this order. Without a refusal, a mail is accepted. */
  refusals: Refusal[]
  /** Mails to this address get no response until {@link release}. */
  hold(address: string): void
  release(): void
  close(): Promise<void>
}

export async function startMailServer(port = 0): Promise<MailServer> {
  const received: string[] = []
  const refusals: Refusal[] = []
  let heldAddress: string | undefined
  const held: (() => void)[] = []
  const refusalAt = (command: Refusal['at']): Error | null => {
    if (refusals[0]?.at !== command) return null
    const { code, text = 'as told' } = refusals.shift()!
    return Object.assign(new Error(text), { responseCode: code })
  }
  const server = new SMTPServer({
    secure: false,
    disabledCommands: ['STARTTLS'],
    authOptional: true,
    onAuth: ({ password }, _session, done) => done(password === 'right' ? null : new Error('no'), { user: 'caly' }),
    onMailFrom: (_address, _session, done) => done(refusalAt('MAIL FROM')),
    onRcptTo: ({ address }, _session, done) => (address === heldAddress ? void held.push(done) : done(refusalAt('RCPT TO'))),
    onData(stream, _session, done) {
      let text = ''
      stream.on('data', (bytes: Buffer) => (text += bytes.toString()))
      stream.on('end', () => {
        received.push(text)
        done(refusalAt('DATA'))
      })
    },
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    url: `smtp://caly:right@127.0.0.1:${(server.server.address() as AddressInfo).port}`,
    received,
    refusals,
    hold: (address) => (heldAddress = address),
    release() {
      heldAddress = undefined
      for (const respond of held.splice(0)) respond()
    },
    close: () => new Promise<void>((resolve) => server.close(() => resolve())),
  }
}
