// The first service of docker-compose.yml. It generates the secrets of the servers, creates the roles in PostgreSQL, and changes the
// owners of volumes to the users of the servers. Safe to run again. Only for evaluation: production uses its own servers and secrets.
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
/** The uid of the services: `node` in our image, and the users of Temporal and the S3 server. */
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
  // If DATABASE_URL names another PostgreSQL, the migrations are applied there.
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

/** A new server has the public password of docker-compose.yml. It is replaced before anything is stored. */
async function connectAsSuperuser(password: string): Promise<pg.Client> {
  try {
    return await connect(password)
  } catch (error) {
    if ((error as { code?: string }).code !== WRONG_PASSWORD) throw error
  }
  const administrator = await connect(process.env.POSTGRES_FIRST_PASSWORD ?? '').catch(() => {
    throw new CannotStart(
      'The PostgreSQL volume belongs to an earlier version of docker-compose.yml: remove all volumes and their data with `docker compose down -v`.',
    )
  })
  await administrator.query(`ALTER ROLE postgres PASSWORD ${pg.escapeLiteral(password)}`).finally(() => administrator.end())
  return connect(password) // ensureDatabaseRoles opens further connections with the password of this one
}

async function connect(password: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: urlOf({ name: 'postgres', password }, 'postgres') })
  await client.connect()
  return client
}

function urlOf({ name, password }: LoginRole, database = DATABASE): string {
  return `postgresql://${name}:${password}@${SERVER}/${database}`
}

/** Writes a file that only the user of the services can read and nobody can change. */
function writeSecret(file: string, values: Record<string, string>): void {
  const path = join(SECRETS, file)
  writeFileSync(path, shellDefaults(values), { mode: 0o400 })
  chownSync(path, USER, USER)
}

/** Changes the owner of a volume and of everything in it. */
function giveTo(user: number, folder: string): void {
  if (statSync(folder).uid === user) return
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) lchownSync(join(folder, name), user, user)
  chownSync(folder, user, user)
}
