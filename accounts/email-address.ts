/**
 * ASCII only. Letters that merely look like others would make two accounts that people cannot tell apart, and case mappings of
 * other scripts would make one of two; domains of other scripts have an ASCII form, and their owners know it.
 */
export const EMAIL_ADDRESS =
  /^(?=[^@]{1,64}@)[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}$/
export const EMAIL_MAX_LENGTH = 254

/** The form under which an address is kept and compared. */
export function normaliseEmail(address: string): string {
  return address.toLowerCase()
}
