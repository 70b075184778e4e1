/** A mistake that an engineer could make in the code, and the tests that must detect it. */
export interface Mistake {
  /** The effect of the mistake for a user, in a few words. */
  breaks: string
  /** The file that the mistake is planted in, relative to the project. */
  file: string
  /** Text that occurs in the file exactly once. */
  text: string
  replacement: string
  /** Test files, relative to the project. At least one of their tests must fail because of the mistake. */
  tests: string[]
  /** The names of the tests to run, as a regular expression. */
  only: string
}
