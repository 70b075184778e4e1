// Removes what must never appear in a log, a workflow history or an error: phone numbers, e-mail addresses, tokens and secrets in URLs.
// Applied to all free text from external systems and from errors of libraries.

// Each pattern takes linear time: a run of characters is scanned from one start only, or has a bounded length.
/** The text before or after these numbers shows that they are not phone numbers: sizes and times of ours, dates, UUIDs, decimals. */
const NO_NUMBER_BEFORE = String.raw`(?<![\w-]|\d\.|\b(?:limit of|bytes, not|bytes) |\d-\d{1,16}\/)`
const NO_NUMBER_BEHIND = String.raw`(?!\w|-\w| (?:of \d{1,16} )?(?:bytes|ms)\b)`
const NO_DATE = String.raw`(?!\d{4}-\d\d-\d\d)`
const NO_UUID = String.raw`(?![\da-f]{8}-[\da-f]{4}-)`
/** Between groups of digits: spaces, hyphens, dashes and brackets. Each group after the first has at least two digits. */
const SEPARATOR = String.raw`(?:[ \u00a0\u2009\u202f\u2010-\u2015()-]{1,3}|\(0\) ?)`
const DIGIT_GROUPS = new RegExp(
  `${NO_NUMBER_BEFORE}${NO_DATE}${NO_UUID}(?:\\+|%2B)?\\(?\\d{1,15}(?:${SEPARATOR}${NO_DATE}\\d{2,15}){0,5}${NO_NUMBER_BEHIND}`,
  'gi',
)
const PHONE_MIN_DIGITS = 10
/** Limit for a number written in one group without `+`. More digits are an id or a time. */
const PHONE_MAX_DIGITS = 13
const URL_CREDENTIALS = /(?<!\w)(\w+:\/\/)[^\s/]+@/g
const URL_QUERY = /(\bhttps?:\/\/(?:(?!https?:\/\/)[^\s?#"'])+)\?[^\s"']*/g
/** Parameters of links and signatures, anywhere in the text. `signature` also matches the end of `X-Amz-Signature`. */
const SECRET_NAMES = `access_?token|refresh_?token|token|signature|sig|api_?key|access_?key|key|password|passwd|secret|credential|policy|awsaccesskeyid|key-pair-id`
const SECRET_PARAMETER = new RegExp(`((?<![a-z0-9])(?:${SECRET_NAMES})(?:=|%3D))[^\\s&"'<>,;)]+`, 'gi')
const AUTHORIZATION = /\b(bearer|basic)\s{1,20}[\w.~+/=-]{8,}/gi
const REFRESH_TOKEN = /\b[0-9a-f]{16}\.[\w-]{43}(?![\w-])/g
const SHA1_SIGNATURE = /\b[0-9a-f]{40}\b/gi
const EMAIL = /[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}\.[A-Za-z]{2,63}\b/g
/** Our JWT headers have 100 characters. */
const JSON_WEB_TOKEN = /\beyJ[\w-]{1,500}\.[\w-]+\.[\w-]*/g

/** Our own messages are shorter. A remote party may send longer texts. */
const MAX_LENGTH = 8192
/** Longer than any phone number written with spaces. A part of one may remain at the cut. */
const SPACED_NUMBER_MAX_LENGTH = 64

/**
 * Removes phone numbers (10 digits or more), e-mail addresses, tokens, credentials in URLs and query strings.
 * A text over 8 kB is cut. Anything that the cut could have split is removed as well.
 */
export function redact(text: string): string {
  if (text.length <= MAX_LENGTH) return withoutSecrets(text)
  const head = text.slice(0, MAX_LENGTH)
  const wholeWords = head.slice(0, Math.max(head.lastIndexOf(' '), head.lastIndexOf('\n')) + 1)
  const kept = withoutSecrets(wholeWords).slice(0, -SPACED_NUMBER_MAX_LENGTH)
  return `${kept} [${text.length - kept.length} characters left out]`
}

function withoutSecrets(text: string): string {
  return text
    .replace(URL_CREDENTIALS, '$1')
    .replace(URL_QUERY, '$1')
    .replace(SECRET_PARAMETER, '$1[secret]')
    .replace(JSON_WEB_TOKEN, '[token]')
    .replace(REFRESH_TOKEN, '[token]')
    .replace(AUTHORIZATION, '$1 [secret]')
    .replace(SHA1_SIGNATURE, '[signature]')
    .replace(EMAIL, '[e-mail]')
    .replace(DIGIT_GROUPS, (found) => (isPhoneNumber(found) ? '[number]' : found))
}

function isPhoneNumber(found: string): boolean {
  const digits = found.replace(/^%2B/i, '+').replaceAll(/\D/g, '').length
  return digits >= PHONE_MIN_DIGITS && (digits <= PHONE_MAX_DIGITS || !/^\d+$/.test(found))
}
