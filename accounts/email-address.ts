/**
 * ASCII only. With other letters, two accounts could have addresses that look the same, and the case mapping of some scripts could
 * map two addresses to one account. Domains in other scripts have an ASCII form (Punycode).
 */
export const EMAIL_ADDRESS =
  /^(?=[^@]{1,64}@)[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}$/
export const EMAIL_MAX_LENGTH = 254

/** The form in which an address is stored and compared. */
export function normaliseEmail(address: string): string {
  return address.toLowerCase()
}
