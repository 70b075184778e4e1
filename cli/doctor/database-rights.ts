// What the role of DATABASE_URL may do in the database.
import type { Database } from '../../platform/database.ts'
import { fault, ok, warning, type Verdict } from './check.ts'

/** What API and worker do with each table. tests/storage/doctor.test.ts compares it with what the migrations grant. */
export const NEEDED_RIGHTS: Record<string, string> = {
  _prisma_migrations: 'SELECT',
  account_mails: 'SELECT INSERT UPDATE DELETE',
  bulk_retries: 'SELECT INSERT UPDATE',
  calls: 'SELECT INSERT UPDATE',
  clean_ups: 'SELECT INSERT UPDATE',
  object_checks: 'SELECT INSERT',
  operator_actions: 'SELECT INSERT UPDATE',
  password_reset_tokens: 'SELECT INSERT UPDATE DELETE',
  processes: 'SELECT INSERT UPDATE DELETE',
  rate_limits: 'SELECT INSERT UPDATE DELETE',
  reconcile_passes: 'SELECT INSERT UPDATE',
  recording_accesses: 'SELECT INSERT',
  recording_attempts: 'SELECT INSERT',
  recording_peaks: 'SELECT INSERT UPDATE DELETE',
  recordings: 'SELECT INSERT UPDATE',
  refresh_token_blacklist: 'SELECT INSERT UPDATE DELETE',
  sessions: 'SELECT INSERT UPDATE DELETE',
  signing_keys: 'SELECT INSERT DELETE',
  users: 'SELECT INSERT UPDATE DELETE',
  webhook_events: 'SELECT INSERT UPDATE',
}
const HINT = 'make it a member of caly_app (GRANT caly_app TO the role), or set DATABASE_URL to the application’s role'
/** The text names no more missing rights. */
const MOST_NAMED = 3

interface Role {
  role: string
  isSuperuser: boolean
  isOwner: boolean
}

export async function checkRights(database: Database): Promise<Verdict> {
  const needed = Object.entries(NEEDED_RIGHTS).flatMap(([table, rights]) => rights.split(' ').map((right) => ({ table, right })))
  // A right on a single column counts: the application may change some columns only.
  const missing = await database.$queryRaw<{ name: string }[]>`
    SELECT "right" || ' on ' || "table" AS name
    FROM unnest(${needed.map(({ table }) => table)}::text[], ${needed.map(({ right }) => right)}::text[]) AS needed ("table", "right"),
         to_regclass('public.' || "table") AS relation
    WHERE NOT COALESCE(CASE "right" WHEN 'DELETE' THEN has_table_privilege(relation, "right")
                                    ELSE has_any_column_privilege(relation, "right") END, false)`
  const [role] = await database.$queryRaw<Role[]>`
    SELECT current_user AS role, rolsuper AS "isSuperuser",
           COALESCE((SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass('public.calls')), false) AS "isOwner"
    FROM pg_roles WHERE rolname = current_user`
  return verdictOn(
    role!,
    missing.map(({ name }) => name),
  )
}

function verdictOn({ role, isSuperuser, isOwner }: Role, missing: string[]): Verdict {
  if (missing.length > 0) {
    const more = missing.length > MOST_NAMED ? ` and ${missing.length - MOST_NAMED} more` : ''
    return fault(
      `The role ${role} lacks rights: ${missing.slice(0, MOST_NAMED).join(', ')}${more}. To correct this, ${HINT}.`,
      'DATABASE_URL',
    )
  }
  if (isSuperuser)
    return warning(`The role ${role} is a superuser, and may do everything on the server: use the application’s role.`, 'DATABASE_URL')
  return ok(
    isOwner ? `The role ${role} owns the tables, and may do everything with them.` : `The role ${role} has the rights that it needs.`,
  )
}
