// `npm run accounts`: manages accounts. It connects as the owner of the tables, because the application's role may not create
// administrators. If neither MIGRATION_DATABASE_URL nor DATABASE_URL is set, it uses the database of the development stack.
import { existsSync, readFileSync } from 'node:fs'
import { pino } from 'pino'
import { createAdministrator, setActive, setRole } from '../accounts/administration.ts'
import { EMAIL_ADDRESS, EMAIL_MAX_LENGTH } from '../accounts/email-address.ts'
import { createInvitation } from '../accounts/registration.ts'
import { ROLES } from '../accounts/roles.ts'
import { addSigningKey, createSigningKeys, forgetOtherSigningKeys } from '../accounts/signing-keys.ts'
import { connectDatabase, type Database } from '../platform/database.ts'
import { isDatabaseOutage, isPermissionDenied } from '../platform/database-errors.ts'
import { CannotStart, runMain } from '../platform/process.ts'
import { redact } from '../platform/redact.ts'
import { ownerDatabaseUrl } from './owner-database-url.ts'

const USAGE = `Usage: npm run accounts -- COMMAND
  create EMAIL              create an administrator with a verified address, and print a new password
  role EMAIL ROLE           change the role to admin, operator, viewer or user
  deactivate EMAIL          end all sessions of the account and prevent new ones
  activate EMAIL            permit sessions again
  invite EMAIL              print the invitation for this address (with REGISTRATION=invite)
  new-signing-key           replace the signing keys: access tokens and invitations become invalid within ten seconds; sessions
                            continue after a refresh`
const DEV_STACK = '.data/dev.json'

const COMMANDS: Record<string, (database: Database, email: string, more: string[]) => Promise<string>> = {
  async create(database, email) {
    const { password, existed } = await createAdministrator(database, email)
    const note = existed ? ' The account already existed: its password was replaced, and its sessions have ended.' : ''
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
    return `${email} is no longer active; its sessions have ended.`
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
      console.log('The signing keys were replaced by a new one.')
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
    throw new CannotStart(`PostgreSQL does not respond: ${reasonOf(error)}. Check MIGRATION_DATABASE_URL or DATABASE_URL.`)
  } finally {
    await database.$disconnect()
  }
})

/** The last line of Prisma's message. The lines before it quote our source code. */
function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return redact(message.trim().split('\n').at(-1)!.replace(/\.$/, ''))
}

function databaseUrl(): string {
  const url = ownerDatabaseUrl()
  if (url !== undefined) return url
  if (!existsSync(DEV_STACK)) throw new CannotStart('Set MIGRATION_DATABASE_URL, or start the development stack with `npm run dev`.')
  return (JSON.parse(readFileSync(DEV_STACK, 'utf8')) as { databaseUrl: string }).databaseUrl
}

function assertFound(found: boolean, email: string): void {
  if (!found) throw new CannotStart(`There is no account with the address ${email}.`)
}
