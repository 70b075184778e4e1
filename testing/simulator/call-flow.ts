// The events of an inbound call through a call flow: Passthru applets and the agent's phone [support articles 48283 and 3000088074;
// the EventType of the Connect applet's events as integrations report them, see docs/exotel.md].
import type { WebhookRoute } from '../../exotel/call-event.ts'
import { formatExotelTime } from '../../exotel/time.ts'
import type { SimulatedCall } from './call.ts'

interface FlowEvent {
  /** ms since 1970 */
  atMs: number
  route: WebhookRoute
  encoding: 'query' | 'form'
  fields: Record<string, string>
}

/** Exotel sends this constant while the end of the call is unknown. */
const UNKNOWN_END = '1970-01-01 05:30:00'
const AGENT = '09811111111'

/** @param recordingUrl if given, the last event contains it */
export function flowEvents(call: SimulatedCall, recordingUrl: string | undefined): FlowEvent[] {
  const now = Date.now()
  const common = { CallSid: call.callSid, CallFrom: '09876543210', From: '09876543210', CallTo: '08045678901', To: '08045678901' }
  const passthru = {
    ...common,
    Direction: 'incoming',
    Created: formatExotelTime(call.startedAt),
    StartTime: formatExotelTime(call.startedAt),
    EndTime: UNKNOWN_END,
    flow_id: '68135',
    tenant_id: '39',
  }
  const answered = call.status === 'completed'
  const early = { ...passthru, CallStatus: 'in-progress', CallType: 'call-attempt', DialCallDuration: '0' }
  const end = {
    ...passthru,
    CallType: answered ? 'completed' : 'incomplete',
    DialCallStatus: answered ? 'completed' : call.status,
    DialCallDuration: String(call.durationSeconds),
    DialWhomNumber: AGENT,
    ...(recordingUrl && { RecordingUrl: recordingUrl }),
  }
  return [
    { atMs: now, route: 'call-start', encoding: 'query', fields: { ...passthru, CallStatus: 'ringing', CallType: 'call-attempt' } },
    { atMs: now, route: 'call-start', encoding: 'form', fields: { ...common, EventType: 'Dial', Status: 'busy', DialWhomNumber: AGENT } },
    ...(call.fault === 'passthru-early' ? [{ atMs: now, route: 'call-end', encoding: 'query', fields: early } as const] : []),
    { atMs: call.endedAt.getTime(), route: 'call-end', encoding: 'query', fields: end },
    {
      atMs: call.endedAt.getTime(),
      route: 'call-end',
      encoding: 'form',
      fields: { ...common, EventType: 'Terminal', Status: 'free', DialWhomNumber: AGENT },
    },
  ]
}
