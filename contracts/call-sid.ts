declare const brand: unique symbol

/** Exotel's id of a call. It is checked where it enters: in webhooks, in Exotel's responses and on the command line. */
export type CallSid = string & { readonly [brand]: 'CallSid' }

const CALL_SID = /^[A-Za-z0-9_-]{1,64}$/

export function isCallSid(text: string): text is CallSid {
  return CALL_SID.test(text)
}
