// The texts of account mails. Links start with PUBLIC_URL. Their secrets follow `#`, because browsers send the fragment of a URL
// neither to a server nor as a referrer. Mails contain no user names: a person who registers a stranger's address chooses the name.
import type { Mail } from '../platform/mailer.ts'

export function verification(to: string, publicUrl: string, token: string): Mail {
  return mail(
    to,
    'Confirm your email address',
    `Someone, perhaps you, registered an account with this email address. To confirm the address, please open this link within 24 hours and enter the password that you chose:\n\n${publicUrl}/verify-email#token=${token}\n\nIf this was not you, please ignore this mail. Nobody can use the account without this link.`,
  )
}

export function welcome(to: string): Mail {
  const body = 'Your account has been created. You can log in with this email address and the password that you chose.'
  return mail(to, 'Your account is ready', body)
}

export function alreadyRegistered(to: string): Mail {
  return mail(
    to,
    'You already have an account',
    'Someone, perhaps you, tried to register with this email address. You already have an account, and nothing was changed. If you forgot your password, please request a password reset.',
  )
}

export function passwordReset(to: string, publicUrl: string, token: string): Mail {
  return mail(
    to,
    'Set a new password',
    `Someone, perhaps you, requested a password reset. To set a new password, please open this link within 15 minutes:\n\n${publicUrl}/reset-password#token=${token}\n\nIf this was not you, please ignore this mail. Your password stays the same.`,
  )
}

export function passwordChanged(to: string): Mail {
  return mail(
    to,
    'Your password was changed',
    'Your password has just been changed, and your other sessions were ended. If this was not you, please request a password reset at once and inform your administrator.',
  )
}

function mail(to: string, subject: string, body: string): Mail {
  return { to, subject, text: `Hello,\n\n${body}\n` }
}
