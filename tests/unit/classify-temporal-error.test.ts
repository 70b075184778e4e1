// What follows from an error of Temporal: the relay pauses, or one event waits, or one event is deferred.
import { describe, expect, test } from '@jest/globals'
import { ServiceError } from '@temporalio/client'
import { NamespaceNotFoundError, WorkflowNotFoundError } from '@temporalio/common'
import { runPolicy } from '../../relay/run-policy.ts'
import { classifyTemporalError } from '../../relay/classify-temporal-error.ts'
import { readTemporalSettings } from '../../platform/config.ts'
import { temporalConnectionOptions } from '../../temporal/connection-options.ts'

const grpcError = (code: number, details: string) => Object.assign(new Error(`${code} ${details}`), { code, details, metadata: {} })
const notFound = (message: string) => new WorkflowNotFoundError(message, 'recording-1', undefined)

describe('When a signal-with-start fails', () => {
  test.each([
    ['temporal_fault', 'our API key is not accepted', 16, 'Request unauthorized.'],
    ['temporal_fault', 'our API key may not do this', 7, 'Request unauthorized.'],
    ['temporal_fault', 'the namespace is limited', 8, 'namespace rate limit exceeded'],
    ['temporal_fault', 'a search attribute is missing', 3, 'Namespace x has no mapping defined for search attribute CallSid'],
    ['refused', 'one workflow is limited', 8, 'Workflow is busy.'],
    ['refused', 'a message is too large', 8, 'grpc: received message larger than max (9 vs. 4)'],
    ['refused', 'the request is invalid', 3, 'Blob data size exceeds limit.'],
    ['refused', 'a run already exists', 6, 'Workflow execution is already running.'],
    ['refused', 'the state of the workflow does not allow it', 9, 'The history is too long.'],
    ['refused', 'a value is out of range', 11, 'Out of range.'],
    ['refused', 'the data of the workflow is lost', 15, 'Events are missing.'],
    ['refused', 'the server has a fault', 13, 'runtime error: index out of range'],
    ['no_response', 'the server resets the stream', 13, 'Received RST_STREAM with code 2'],
    ['no_response', 'a proxy responds without a gRPC status', 13, 'Call ended without gRPC status'],
    ['no_response', 'the server is unavailable', 14, 'shard status unknown'],
    ['no_response', 'the deadline has passed', 4, 'Deadline exceeded'],
    ['no_response', 'the request was cancelled', 1, 'call cancelled'],
    ['no_response', 'the request was aborted', 10, 'aborted'],
    ['no_response', 'the code is unknown', 2, 'Stream removed'],
  ] as const)('then the result is %s if %s', (kind, _what, code, details) => {
    const error = grpcError(code, details)
    for (const each of [error, new ServiceError('Failed to signalWithStart Workflow', { cause: error })]) {
      const fault = classifyTemporalError(each)
      expect(fault.kind).toBe(kind)
      expect(fault.reason).toContain(details)
    }
  })

  test.each([new NamespaceNotFoundError('calls'), notFound('Namespace calls is not found.')])(
    'because the namespace is missing, then the relay pauses, and the reason names the command: %s',
    (error) => {
      expect(classifyTemporalError(error)).toEqual({ kind: 'temporal_fault', reason: expect.stringContaining('npm run temporal:setup') })
    },
  )

  test('because the workflow ended meanwhile, then only this event is sent again', () => {
    expect(classifyTemporalError(notFound('workflow execution already completed'))).toMatchObject({ kind: 'no_response' })
  })

  test('because of an error that does not come from Temporal, then only this event is deferred', () => {
    expect(classifyTemporalError(new TypeError('a bug'))).toEqual({ kind: 'refused', reason: 'a bug' })
  })
})

test.each([
  [{}, {}],
  [{ TEMPORAL_TLS: 'true' }, { tls: true }],
  [{ TEMPORAL_API_KEY: 'secret' }, { apiKey: 'secret', tls: true }], // the key is never sent without encryption
])('When the settings are %j, then the connection has these options: %j', (settings, options) => {
  const config = readTemporalSettings({ TEMPORAL_ADDRESS: 'temporal.example.com:7233', ...settings })
  expect(temporalConnectionOptions(config)).toEqual({ address: 'temporal.example.com:7233', ...options })
})

test('When a run starts, then its policy has the values of the settings, and times are in milliseconds', () => {
  const settings = {
    RECORDING_WAIT_SCALE: 0.5,
    RETRY_RECORDING_TRIES: 4,
    RECORDING_EXPECTED_FROM_SECONDS: 11,
    SPOOL_LOST_AFTER_SECONDS: 600,
    RECORDING_FAST_PATH_MAX_BYTES: 1000,
  }
  const policy = runPolicy(settings)
  expect(policy).toMatchObject({ waitScale: 0.5, tries: 4, expectedFromSeconds: 11, spoolLostAfterMs: 600_000, fastPathMaxBytes: 1000 })
  expect(4 * policy.continueAsNewAfterEvents).toBeLessThan(51_200) // Temporal terminates a run with a longer history
})
