// What a run knows about its call after several events, in the order in which they arrive.
import { describe, expect, test } from '@jest/globals'
import type { CallSid } from '../../contracts/call-sid.ts'
import { isNotAhead } from '../../contracts/plausible-end.ts'
import type { CallFactsSoFar, EndedCall, RecordingPolicy } from '../../contracts/recording.ts'
import { collectFacts, type CallFacts } from '../../workflows/call-facts.ts'
import { openInbox } from '../../workflows/recording-inbox.ts'

const MINUTE = 60_000
const ARRIVED = Date.UTC(2026, 10, 1)
const POLICY: RecordingPolicy = {
  waitScale: 1,
  tries: 3,
  expectedFromSeconds: 10,
  spoolLostAfterMs: 600_000,
  continueAsNewAfterEvents: 10_000,
}
const CALL: EndedCall = { callSid: 'c' as CallSid, arrivedAt: new Date(ARRIVED).toISOString(), policy: POLICY }
const iso = (ms: number) => new Date(ms).toISOString()

function after(...updates: CallFactsSoFar[]): CallFacts {
  const facts = collectFacts(CALL)
  for (const update of updates) facts.update(update)
  return facts
}

describe('When a call was answered by one person after others were busy', () => {
  test.each([
    [{ status: 'completed' }, { status: 'busy' }],
    [{ status: 'busy' }, { status: 'completed' }],
    [
      { status: 'busy', durationSeconds: POLICY.expectedFromSeconds },
      { status: 'no-answer', durationSeconds: 0 },
    ],
    [
      { status: 'no-answer', durationSeconds: 0 },
      { status: 'busy', durationSeconds: POLICY.expectedFromSeconds },
    ],
  ])('then it counts as answered in any order of the events: %j, %j', (first, second) => {
    const facts = after(first, second)
    expect([facts.answered(), facts.unanswered()]).toEqual([true, false])
  })

  test('then it keeps the status "completed" and the longest duration', () => {
    const facts = after({ status: 'completed', durationSeconds: 40 }, { status: 'busy', durationSeconds: 3 }, { durationSeconds: 12 })
    expect([facts.status(), facts.durationSeconds()]).toEqual(['completed', 40])
  })

  test('then the next run knows the same', () => {
    const earlier = after({ status: 'completed', durationSeconds: 40, endedAt: iso(ARRIVED - MINUTE) }).carryOver()
    const facts = collectFacts(CALL, earlier)
    facts.update({ status: 'busy' })
    expect([facts.status(), facts.durationSeconds(), facts.endedAtMs()]).toEqual(['completed', 40, ARRIVED - MINUTE])
  })
})

test.each([
  [{ status: 'busy', durationSeconds: POLICY.expectedFromSeconds - 1 }, true],
  [{ status: 'no-answer' }, true],
  [{ status: 'in-progress' }, false],
  [{}, false],
])('When the only event says %j, then nobody answered the call: %s', (update, isUnanswered) => {
  const facts = after(update)
  expect([facts.answered(), facts.unanswered()]).toEqual([false, isUnanswered])
})

describe('When events report different ends of a call', () => {
  test('then the latest one counts, whichever arrives last', () => {
    const [early, late] = [{ endedAt: iso(ARRIVED - 9 * MINUTE) }, { endedAt: iso(ARRIVED - MINUTE) }]
    for (const facts of [after(early, late), after(late, early), after(late, {})]) expect(facts.latestEndMs()).toBe(ARRIVED - MINUTE)
  })

  test('then the arrival of the newest event counts if no end is known', () => {
    expect(after({}).latestEndMs()).toBe(ARRIVED)
    const [early, late] = [{ endReportedAt: iso(ARRIVED + MINUTE) }, { endReportedAt: iso(ARRIVED + 9 * MINUTE) }]
    for (const facts of [after(early, late), after(late, early)]) expect(facts.latestEndMs()).toBe(ARRIVED + 9 * MINUTE)
  })
})

test.each([
  [14 * MINUTE, true],
  [15 * MINUTE, false],
])('When the end of a call is %d ms after the arrival of its event, then it is plausible: %s', (aheadMs, isPlausible) => {
  expect(isNotAhead(ARRIVED + aheadMs, ARRIVED)).toBe(isPlausible)
  expect(after({ endedAt: iso(ARRIVED + aheadMs) }).endedAtMs()).toBe(isPlausible ? ARRIVED + aheadMs : undefined)
})

test('When a run continues as new while Call Details have to be requested again, then the next run requests them', () => {
  const first = openInbox(after({ status: 'busy' }), undefined)
  first.concludeSearch('unanswered')
  expect([
    first.needsSearch(),
    openInbox(after({ status: 'busy' }), { ...first.carryOver(), facts: {}, concluded: [] }).needsSearch(),
  ]).toEqual([false, false])
  first.addEnd()
  const next = openInbox(after({ status: 'busy' }), { ...first.carryOver(), facts: {}, concluded: [] })
  expect([first.needsSearch(), next.needsSearch(), next.mustRequest()]).toEqual([true, true, true])
})
