/** One mistake that an engineer could make in the code, and the tests that must notice it. */
export interface Mistake {
  /** What the mistake breaks for a user, in a few words. */
  breaks: string
  /** The file that the mistake is planted in, relative to the project. */
  file: string
  /** Text that occurs in the file exactly once. */
  text: string
  replacement: string
  /** The test files that must notice it, relative to the project. */
  tests: string[]
  /** The names of the tests to run, as a regular expression; all tests of the files if it is absent. */
  only?: string
}
