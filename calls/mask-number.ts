// What people without the right to see phone numbers see of them.

const SHOWN_DIGITS = 4
/** A shorter number would be shown almost completely. */
const SHORTEST_SHOWN = 7
/** A run of digits in a text, possibly with separators, that may be a phone number. */
const NUMBER_IN_TEXT = /\+?\d(?:[ ().-]{0,2}\d){6,}/g

/** Replaces all digits but the last four; the whole text if it is short or no number, such as a SIP address. */
export function maskNumber(number: string | null): string | null {
  if (number === null) return null
  const digits = number.replaceAll(/\D/g, '').length
  if (digits < SHORTEST_SHOWN || /[^\d\s+().-]/.test(number)) return '****'
  let left = digits - SHOWN_DIGITS
  return number.replaceAll(/\d/g, (digit) => (left-- > 0 ? '*' : digit))
}

/** Masks everything in a text that may be a phone number. */
export function maskNumbersIn(text: string | null): string | null {
  return text?.replaceAll(NUMBER_IN_TEXT, (number) => maskNumber(number)!) ?? null
}
