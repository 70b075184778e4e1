// Which of the numbers in an event is the agent's, and which is the company's own (the ExoPhone). The same rules in SQL are in
// `call-search.ts`, for events that were recorded before these columns existed.

interface EventNumbers {
  direction?: string | undefined
  from?: string | undefined
  to?: string | undefined
  /** Exotel's `PhoneNumberSid`: the ExoPhone of the call. */
  phoneNumberSid?: string | undefined
  /** Exotel's `DialWhomNumber`: the agent that a call flow has dialled. */
  dialledNumber?: string | undefined
}

/**
 * An inbound call is from a customer to an ExoPhone, and a call flow dials the agent. An outbound call is from the agent to a customer.
 * @returns null for a number that the event does not contain
 */
export function callParties({ direction, from, to, phoneNumberSid, dialledNumber }: EventNumbers): {
  agent: string | null
  exophone: string | null
} {
  const isInbound = /^in/i.test(direction ?? '')
  const isOutbound = /^out/i.test(direction ?? '')
  const agent = isOutbound ? from : isInbound ? dialledNumber : undefined
  return { agent: agent ?? null, exophone: phoneNumberSid ?? (isInbound ? to : undefined) ?? null }
}
