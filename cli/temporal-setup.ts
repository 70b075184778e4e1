// `npm run temporal:setup`: creates the namespace and the search attributes. To be run before the first start with a Temporal server.
import { Connection } from '@temporalio/client'
import { BadConfiguration, readTemporalSettings } from '../platform/config.ts'
import { EnvFileUnreadable, loadEnvFile } from '../platform/env-file.ts'
import { temporalConnectionOptions } from '../temporal/connection-options.ts'
import { setUpTemporal } from '../temporal/namespace.ts'

try {
  loadEnvFile()
  const settings = readTemporalSettings()
  const connection = await Connection.connect(temporalConnectionOptions(settings))
  await setUpTemporal(connection, settings.TEMPORAL_NAMESPACE)
  await connection.close()
  console.log(`Namespace ${settings.TEMPORAL_NAMESPACE} at ${settings.TEMPORAL_ADDRESS} is set up.`)
} catch (error) {
  const message = error instanceof Error ? error.message : String(error)
  console.error(
    error instanceof BadConfiguration || error instanceof EnvFileUnreadable
      ? message
      : `Temporal could not be set up: ${message}. Check TEMPORAL_ADDRESS and TEMPORAL_API_KEY.`,
  )
  process.exitCode = 1
}
