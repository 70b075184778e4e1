declare const brand: unique symbol

/** Exotel's id of a call. It is checked where it enters: in webhooks, in Exotel's responses and on the command line. */
export type CallSid = string & { readonly [brand]: 'CallSid' }

/** Part of regular expressions for names that contain a CallSid. */
export const CALL_SID_PATTERN = '[A-Za-z0-9_-]{1,64}'
const CALL_SID = new RegExp(`^${CALL_SID_PATTERN}$`)

export function isCallSid(text: string): text is CallSid {
  return CALL_SID.test(text)
}
