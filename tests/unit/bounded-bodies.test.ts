import { expect, test } from '@jest/globals'
import { watchBody } from '../../platform/body-pieces.ts'
import { requireBoundedBodies } from '../../platform/bounded-bodies.ts'
import { closeBeforeBodyEnds } from '../../platform/unread-body.ts'

test('When this version of Node passes each piece of a body to the server, then the process starts', async () => {
  await expect(requireBoundedBodies()).resolves.toBeUndefined()
})

test('When the pieces of a body cannot be counted, then the process does not start, and the error names the reason', async () => {
  await expect(requireBoundedBodies({ watchBody() {}, closeBeforeBodyEnds })).rejects.toThrow(/Node \d+.* pieces of a request body/)
})

test('When a body is parsed after its response was sent, then the process does not start, and the error names the reason', async () => {
  const closeNothing = () => () => {}
  await expect(requireBoundedBodies({ watchBody, closeBeforeBodyEnds: closeNothing })).rejects.toThrow(/Node \d+.* cannot be ignored/)
})
