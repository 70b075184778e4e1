// `npm run admin`: accounts, from a shell that reaches the database as the owner of the tables, since the application may not make
// administrators. Without MIGRATION_DATABASE_URL and DATABASE_URL: the development stack's.
import { existsSync, readFileSync } from 'node:fs'
import { pino } from 'pino'
import { createAdministrator, setActive, setRole } from '../accounts/administration.ts'
import { EMAIL_ADDRESS, EMAIL_MAX_LENGTH } from '../accounts/email-address.ts'
import { createInvitation } from '../accounts/registration.ts'
import { addSigningKey, createSigningKeys, forgetOtherSigningKeys } from '../accounts/signing-keys.ts'
import { connectDatabase, type Database } from '../platform/database.ts'
import { problemOfDatabaseUrl } from '../platform/database-url.ts'
import { isDatabaseOutage, isPermissionDenied } from '../platform/database-errors.ts'
import { CannotStart, runMain } from '../platform/process.ts'
import { redact } from '../platform/redact.ts'

const USAGE = `Usage: npm run admin -- COMMAND
  create EMAIL              makes an administrator with a verified address and a new password, and prints it
  role EMAIL ROLE           admin, operator or user
  deactivate EMAIL          ends all sessions of the account and lets it open no more
  activate EMAIL
  invite EMAIL              prints what this person registers with, where REGISTRATION=invite
  new-signing-key           ends all access tokens and invitations within ten seconds; sessions go on by refreshing`
const ROLES = ['admin', 'operator', 'user'] as const
const DEV_STACK = '.data/dev.json'

const COMMANDS: Record<string, (database: Database, email: string, more: string[]) => Promise<string>> = {
  async create(database, email) {
    const { password, existed } = await createAdministrator(database, email)
    const note = existed ? ' There was an account already: its password is another now, and its sessions have ended.' : ''
    return `${email} is an administrator.${note} Password, shown only now: ${password}`
  },
  async role(database, email, [role]) {
    const known = ROLES.find((each) => each === role)
    if (!known) throw new CannotStart(`The role must be one of ${ROLES.join(', ')}. ${USAGE}`)
    assertFound(await setRole(database, email, known), email)
    return `${email} has the role ${known}.`
  },
  async deactivate(database, email) {
    assertFound(await setActive(database, email, false), email)
    return `${email} is not active any more; its sessions have ended.`
  },
  async activate(database, email) {
    assertFound(await setActive(database, email, true), email)
    return `${email} is active.`
  },
  invite: async (database, email) => createInvitation({ keys: createSigningKeys(database) }, email),
}

runMain(async () => {
  const [command = '', email = '', ...more] = process.argv.slice(2)
  const database = connectDatabase({ url: databaseUrl(), poolSize: 2, logger: pino({ level: 'silent' }) })
  try {
    if (command === 'new-signing-key') {
      await forgetOtherSigningKeys(database, await addSigningKey(database))
      console.log('There is a new signing key, and no other.')
      return
    }
    const run = Object.hasOwn(COMMANDS, command) ? COMMANDS[command] : undefined
    if (!run || more.length > (command === 'role' ? 1 : 0)) throw new CannotStart(USAGE)
    if (!EMAIL_ADDRESS.test(email) || email.length > EMAIL_MAX_LENGTH)
      throw new CannotStart(`"${email}" is not an e-mail address. ${USAGE}`)
    console.log(await run(database, email, more))
  } catch (error) {
    if (isPermissionDenied(error))
      throw new CannotStart('This role may not change accounts: set MIGRATION_DATABASE_URL to the role that owns the tables.')
    if (!isDatabaseOutage(error)) throw error
    throw new CannotStart(`PostgreSQL does not answer: ${reasonOf(error)}. Check MIGRATION_DATABASE_URL or DATABASE_URL.`)
  } finally {
    await database.$disconnect()
  }
})

/** The last line of what Prisma says; those before show where we called it. */
function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return redact(message.trim().split('\n').at(-1)!.replace(/\.$/, ''))
}

function databaseUrl(): string {
  for (const name of ['MIGRATION_DATABASE_URL', 'DATABASE_URL']) {
    const url = process.env[name]
    if (!url) continue
    const problem = problemOfDatabaseUrl(url)
    if (problem) throw new CannotStart(`${name} ${problem}.`)
    return url
  }
  if (!existsSync(DEV_STACK)) throw new CannotStart('Set MIGRATION_DATABASE_URL, or start the development stack with `npm run dev`.')
  return (JSON.parse(readFileSync(DEV_STACK, 'utf8')) as { databaseUrl: string }).databaseUrl
}

function assertFound(found: boolean, email: string): void {
  if (!found) throw new CannotStart(`There is no account ${email}.`)
}
