// What must never be read in a log, a history or an error: telephone numbers and the secrets inside URLs.
// Applied to all free text that comes from outside or from a library's error.

const PHONE_NUMBER = /(?<![\w-])\+?\d{10,13}(?![\w-])/g
const URL_CREDENTIALS = /(\w+:\/\/)[^\s/@]+@/g
const URL_QUERY = /(\bhttps?:\/\/[^\s?#"']+)\?[^\s"']*/g

/** The text without telephone numbers (10 to 13 digits), credentials in URLs and query strings. */
export function redact(text: string): string {
  return text.replace(URL_CREDENTIALS, '$1').replace(URL_QUERY, '$1').replace(PHONE_NUMBER, '[number]')
}
