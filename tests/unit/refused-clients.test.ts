import { expect, jest, test } from '@jest/globals'
import { createRefusedClients } from '../../api/refused-clients.ts'

test('When a client was rejected, then it is rejected until its time is over, whatever the clock shows', () => {
  const refused = createRefusedClients(10)
  refused.add('a', 60_000)
  expect(refused.msLeft('a')).toBeGreaterThan(59_000)
  expect(refused.msLeft('b')).toBe(0)
  const wrongClock = jest.spyOn(Date, 'now').mockReturnValue(0)
  expect(refused.msLeft('a')).toBeGreaterThan(59_000)
  wrongClock.mockRestore()
  const later = jest.spyOn(performance, 'now').mockReturnValue(performance.now() + 60_001)
  expect(refused.msLeft('a')).toBe(0)
  later.mockRestore()
})

test('When more clients were rejected than the maximum, then the oldest one is removed', () => {
  const refused = createRefusedClients(2)
  for (const client of ['a', 'b', 'a', 'c']) refused.add(client, 60_000)
  expect(['a', 'b', 'c'].map((client) => refused.msLeft(client) > 0)).toEqual([true, false, true])
})
