// What must never be read in a log, a history or an error: telephone numbers, e-mail addresses, tokens and the secrets inside URLs.
// Applied to all free text that comes from outside or from a library's error.

// Each pattern takes steps in proportion to the text: a run of characters is scanned from one start only, or has a bounded length.
const PHONE_NUMBER = /(?<![\w-])\+?\d{10,13}(?![\w-])/g
const URL_CREDENTIALS = /(?<!\w)(\w+:\/\/)[^\s/]+@/g
const URL_QUERY = /(\bhttps?:\/\/(?:(?!https?:\/\/)[^\s?#"'])+)\?[^\s"']*/g
/** Also relative ones, and what stands behind `#`. */
const SECRET_PARAMETER = /([?&#](?:token|signature|key|password|secret)=)[^\s&"']+/gi
const AUTHORIZATION = /\b(bearer|basic)\s{1,20}[\w.~+/=-]{8,}/gi
const REFRESH_TOKEN = /\b[0-9a-f]{16}\.[\w-]{43}(?![\w-])/g
const SHA1_SIGNATURE = /\b[0-9a-f]{40}\b/gi
const SPACED_NUMBER = /\+\d{1,3}(?:[ -]\d{2,6}){2,4}\b/g
const EMAIL = /[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}\.[A-Za-z]{2,63}\b/g
/** A header of ours has 100 characters. */
const JSON_WEB_TOKEN = /\beyJ[\w-]{1,500}\.[\w-]+\.[\w-]*/g

/** No message that a person reads is longer; what a remote party sends may be. */
const MAX_LENGTH = 8192
/** Longer than any number that is written with spaces, of which a part may stand at the cut. */
const SPACED_NUMBER_MAX_LENGTH = 40

/**
 * The text without telephone numbers (10 to 13 digits), e-mail addresses, tokens, credentials in URLs and query strings.
 * Of a text over 8 kB only the beginning is returned, without anything that the cut could have split.
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
    .replace(SPACED_NUMBER, '[number]')
    .replace(EMAIL, '[e-mail]')
    .replace(PHONE_NUMBER, '[number]')
}
