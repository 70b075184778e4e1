import { isGrpcServiceError, ScheduleNotFoundError, type Client, type Connection } from '@temporalio/client'
import { SCHEDULES, SEARCH_ATTRIBUTES } from '../../contracts/names.ts'
import type { TemporalSettings } from '../../platform/config.ts'
import { openTemporal } from '../../temporal/client.ts'
import { missingSearchAttributes } from '../../temporal/namespace.ts'
import { fault, messageOf, ok, warning, type CheckGroup, type Verdict } from './check.ts'

const NOT_FOUND = 5
const REFUSED = [7, 16] // PERMISSION_DENIED, UNAUTHENTICATED

/** Temporal as API and worker use it. */
export const temporalChecks: CheckGroup<keyof TemporalSettings> = {
  names: ['temporal', 'temporal-namespace', 'temporal-search-attributes', 'temporal-schedules'],
  needs: ['TEMPORAL_ADDRESS', 'TEMPORAL_NAMESPACE', 'TEMPORAL_API_KEY', 'TEMPORAL_TLS'],
  async run(settings, { check }) {
    const temporal = openTemporal(settings)
    const { TEMPORAL_ADDRESS: address, TEMPORAL_NAMESPACE: namespace } = settings
    /** Requests end with the time limit of their check. */
    const withClient = async (signal: AbortSignal, work: (client: Client) => Promise<Verdict>): Promise<Verdict> => {
      const client = await temporal.client()
      return client.connection.withAbortSignal(signal, () => work(client))
    }
    try {
      if (!(await check('temporal', (signal) => withClient(signal, async () => ok(`Temporal responds at ${address}.`))))) return
      const exists = await check('temporal-namespace', (signal) =>
        withClient(signal, async ({ workflowService }) => {
          await workflowService.describeNamespace({ namespace })
          return ok(`The namespace ${namespace} exists.`)
        }),
      )
      if (!exists) return
      await check('temporal-search-attributes', (signal) => withClient(signal, (client) => checkSearchAttributes(client, namespace)))
      await check('temporal-schedules', (signal) => withClient(signal, checkSchedules))
    } finally {
      await temporal.close()
    }
  },
  explain: explainTemporal,
}

async function checkSearchAttributes(client: Client, namespace: string): Promise<Verdict> {
  const missing = await missingSearchAttributes(client.connection as Connection, namespace)
  if (missing.length === 0) return ok(`The namespace has the search attributes ${SEARCH_ATTRIBUTES.join(', ')}.`)
  return fault(
    `The namespace ${namespace} lacks the search attributes ${missing.join(', ')}: run \`npm run temporal:setup\`, or correct TEMPORAL_NAMESPACE.`,
    'TEMPORAL_NAMESPACE',
  )
}

async function checkSchedules(client: Client): Promise<Verdict> {
  const ids = Object.values(SCHEDULES)
  const states = await Promise.all(ids.map((id) => stateOfSchedule(client, id)))
  const inState = (state: string): string => ids.filter((_, index) => states[index] === state).join(', ')
  if (states.includes('missing')) return warning(`Schedules are missing: ${inState('missing')}. A worker creates them when it starts.`)
  if (states.includes('paused'))
    return warning(`Schedules are paused: ${inState('paused')}. Their work is not done until somebody resumes them.`)
  return ok(`All ${ids.length} schedules exist.`)
}

async function stateOfSchedule(client: Client, id: string): Promise<'missing' | 'paused' | 'active'> {
  try {
    return (await client.schedule.getHandle(id).describe()).state.paused ? 'paused' : 'active'
  } catch (error) {
    if (error instanceof ScheduleNotFoundError) return 'missing'
    throw error
  }
}

function explainTemporal(error: unknown, { TEMPORAL_ADDRESS: address, TEMPORAL_NAMESPACE: namespace }: TemporalSettings): Verdict {
  const { code, details } = grpcErrorIn(error) ?? {}
  if (code === NOT_FOUND)
    return fault(
      `The namespace ${namespace} does not exist: run \`npm run temporal:setup\`, or correct TEMPORAL_NAMESPACE.`,
      'TEMPORAL_NAMESPACE',
    )
  if (code !== undefined && REFUSED.includes(code))
    return fault(`Temporal refuses the request (${details}): check TEMPORAL_API_KEY and its rights in the namespace.`, 'TEMPORAL_API_KEY')
  const reason = code === undefined ? messageOf(error) : details
  return fault(
    `Temporal does not respond at ${address}: ${reason}. Check TEMPORAL_ADDRESS, and TEMPORAL_TLS if the server demands TLS.`,
    'TEMPORAL_ADDRESS',
  )
}

/** The SDK wraps errors of gRPC in its own. */
function grpcErrorIn(error: unknown): { code: number; details: string } | undefined {
  if (isGrpcServiceError(error)) return error
  return error instanceof Error && error.cause !== undefined ? grpcErrorIn(error.cause) : undefined
}
