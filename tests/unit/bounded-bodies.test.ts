import { expect, test } from '@jest/globals'
import { requireBoundedBodies } from '../../platform/bounded-bodies.ts'

test('When this version of Node gives each piece of a body to the server, then the process may start', async () => {
  await expect(requireBoundedBodies()).resolves.toBeUndefined()
})

test('When the pieces of a body cannot be counted, then the process says so and does not start', async () => {
  await expect(requireBoundedBodies(() => {})).rejects.toThrow(/Node \d+.* pieces of a body/)
})
