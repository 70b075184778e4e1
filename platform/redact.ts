// What must never be read in a log, a history or an error: telephone numbers, e-mail addresses, tokens and the secrets inside URLs.
// Applied to all free text that comes from outside or from a library's error.

const PHONE_NUMBER = /(?<![\w-])\+?\d{10,13}(?![\w-])/g
const URL_CREDENTIALS = /(\w+:\/\/)[^\s/]+@/g
const URL_QUERY = /(\bhttps?:\/\/[^\s?#"']+)\?[^\s"']*/g
/** Also relative ones, and what stands behind `#`. */
const SECRET_PARAMETER = /([?&#](?:token|signature|key|password|secret)=)[^\s&"']+/gi
const AUTHORIZATION = /\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi
const REFRESH_TOKEN = /\b[0-9a-f]{16}\.[\w-]{43}(?![\w-])/g
const SHA1_SIGNATURE = /\b[0-9a-f]{40}\b/gi
const SPACED_NUMBER = /\+\d{1,3}(?:[ -]\d{2,6}){2,4}\b/g
const EMAIL = /[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}\.[A-Za-z]{2,63}\b/g
const JSON_WEB_TOKEN = /\beyJ[\w-]+\.[\w-]+\.[\w-]*/g

/** The text without telephone numbers (10 to 13 digits), e-mail addresses, tokens, credentials in URLs and query strings. */
export function redact(text: string): string {
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
