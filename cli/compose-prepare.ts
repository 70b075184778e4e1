// The first service of docker-compose.yml: generates the secrets of its servers, creates the roles in PostgreSQL, and hands the
// volumes to the users that the servers run as. Safe to run again. For trying only: production has servers and secrets of its own.
import { chownSync, lchownSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { CannotStart, runMain } from '../platform/process.ts'
import { loadComposeSecrets, shellDefaults, type ComposeSecrets } from './compose-secrets.ts'
import { ensureDatabaseRoles, type LoginRole } from './database-roles.ts'

const SERVER = 'postgres:5432'
const DATABASE = 'caly'
const OWNER = 'caly_owner'
const APPLICATION = 'caly'
/** What the services run as: `node` in our image, and the users of Temporal and the S3 server. */
const USER = 1000
const SECRETS = '/secrets'
/** Volumes of servers that do not run as root. */
const DATA = ['/volumes/temporal', '/volumes/s3']
const WRONG_PASSWORD = '28P01'

runMain(async () => {
  const secrets = loadComposeSecrets(join(SECRETS, 'owner', 'secrets.json'))
  await createRoles(secrets)
  const owner = urlOf({ name: OWNER, password: secrets.ownerPassword })
  const application = urlOf({ name: APPLICATION, password: secrets.applicationPassword })
  // Whoever names a PostgreSQL of their own gets its migrations there.
  writeSecret('owner/migrate.sh', { MIGRATION_DATABASE_URL: `\${DATABASE_URL:-${owner}}` })
  writeSecret('app/app.sh', {
    DATABASE_URL: application,
    WASABI_ACCESS_KEY: secrets.s3AccessKey,
    WASABI_SECRET_KEY: secrets.s3SecretKey,
  })
  writeSecret('s3/s3.sh', { ROOT_ACCESS_KEY: secrets.s3AccessKey, ROOT_SECRET_KEY: secrets.s3SecretKey })
  for (const folder of DATA) giveTo(USER, folder)
  console.log('Secrets, roles and volumes are prepared.')
})

async function createRoles({ superuserPassword, ownerPassword, applicationPassword }: ComposeSecrets): Promise<void> {
  const administrator = await connectAsSuperuser(superuserPassword)
  try {
    await ensureDatabaseRoles(administrator, {
      database: DATABASE,
      owner: { name: OWNER, password: ownerPassword },
      application: { name: APPLICATION, password: applicationPassword },
    })
  } finally {
    await administrator.end()
  }
}

/** A new server has the password of docker-compose.yml, which everybody knows: it is replaced before anything is stored. */
async function connectAsSuperuser(password: string): Promise<pg.Client> {
  try {
    return await connect(password)
  } catch (error) {
    if ((error as { code?: string }).code !== WRONG_PASSWORD) throw error
  }
  const administrator = await connect(process.env.POSTGRES_FIRST_PASSWORD ?? '').catch(() => {
    throw new CannotStart('PostgreSQL has data of an earlier version of this file: remove its volumes with `docker compose down -v`.')
  })
  await administrator.query(`ALTER ROLE postgres PASSWORD ${pg.escapeLiteral(password)}`).finally(() => administrator.end())
  return connect(password) // whoever opens a further connection takes the password from this one
}

async function connect(password: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: urlOf({ name: 'postgres', password }, 'postgres') })
  await client.connect()
  return client
}

function urlOf({ name, password }: LoginRole, database = DATABASE): string {
  return `postgresql://${name}:${password}@${SERVER}/${database}`
}

/** Only its reader may read it, and nobody changes it. */
function writeSecret(file: string, values: Record<string, string>): void {
  const path = join(SECRETS, file)
  writeFileSync(path, shellDefaults(values), { mode: 0o400 })
  chownSync(path, USER, USER)
}

/** Everything in a volume that another user owned before. */
function giveTo(user: number, folder: string): void {
  if (statSync(folder).uid === user) return
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) lchownSync(join(folder, name), user, user)
  chownSync(folder, user, user)
}
