declare module 'fxa-common-password-list' {
  /** Mozilla's list for its accounts: the million most frequent passwords of 8 characters and more. */
  const commonPasswords: { test(password: string): boolean }
  export default commonPasswords
}
