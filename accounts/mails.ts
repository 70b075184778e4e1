// The mails about accounts, as plain text. Links come from PUBLIC_URL, and their secrets stand behind `#`, which no browser sends
// to a server or to the next page. No name in them: whoever registers a stranger's address chooses it.
import type { Mail } from '../platform/mailer.ts'

export function verification(to: string, publicUrl: string, token: string): Mail {
  return mail(
    to,
    'Confirm your address',
    `somebody, perhaps you, registered an account with this address. To confirm it, open this link within 24 hours and enter the password that you chose:\n\n${publicUrl}/verify-email#token=${token}\n\nIf it was not you, do nothing: without this link nobody can use the account.`,
  )
}

export function welcome(to: string): Mail {
  return mail(to, 'Your account', 'your account has been made. You can log in with this address and the password that you chose.')
}

export function alreadyRegistered(to: string): Mail {
  return mail(
    to,
    'You have an account already',
    'somebody, perhaps you, tried to register with this address. You have an account already, and nothing was changed. If you forgot your password, ask for a new one.',
  )
}

export function passwordReset(to: string, publicUrl: string, token: string): Mail {
  return mail(
    to,
    'Set a new password',
    `somebody, perhaps you, asked for a new password. Set it here within 15 minutes:\n\n${publicUrl}/reset-password#token=${token}\n\nIf it was not you, do nothing: your password stays.`,
  )
}

export function passwordChanged(to: string): Mail {
  return mail(
    to,
    'Your password was changed',
    'your password has just been changed and other sessions were ended. If it was not you, ask for a new password at once and tell your administrator.',
  )
}

function mail(to: string, subject: string, body: string): Mail {
  return { to, subject, text: `Hello,\n\n${body}\n` }
}
