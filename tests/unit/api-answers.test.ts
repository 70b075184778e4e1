// Calls in responses of Exotel's API.
import { expect, test } from '@jest/globals'
import { readCallDetails, readCallsPage } from '../../exotel/api-answers.ts'

test('When a listed call has all fields, then each value comes from its own field', () => {
  const entry = {
    Sid: 'a1',
    Status: 'completed',
    Duration: '61',
    Direction: 'inbound',
    From: '09876543210',
    To: '+918045678901',
    StartTime: '2026-11-01 04:00:00',
    EndTime: '2026-11-01 04:01:01',
    RecordingUrl: 'https://recordings.exotel.com/a/1.mp3',
  }
  expect(readCallsPage({ Metadata: { Total: 1, NextPageUri: null }, Calls: [entry] })).toEqual({
    calls: [
      {
        callSid: 'a1',
        status: 'completed',
        durationSeconds: 61,
        direction: 'inbound',
        from: '09876543210',
        to: '+918045678901',
        startedAt: new Date('2026-10-31T22:30:00Z'),
        endedAt: new Date('2026-10-31T22:31:01Z'),
        source: { sourceUrl: 'https://recordings.exotel.com/a/1.mp3' },
      },
    ],
    unusable: 0,
    total: 1,
    isPagingKnown: true,
  })
})

test.each([[0], ['0'], ['61'], [61.4], [7 * 24 * 3600]])('When Duration is %j, then it is the duration of the call', (Duration) => {
  expect(readCallDetails({ Call: { Duration } })).toEqual({ durationSeconds: Math.round(Number(Duration)) })
})

// A duration of 0 would mean that no recording is expected.
test.each([[null], [undefined], [''], [' '], ['unknown'], [-1], [7 * 24 * 3600 + 1]])(
  'When Duration is %j, then the duration of the call is unknown',
  (Duration) => {
    expect(readCallDetails({ Call: { Duration } })).toEqual({})
  },
)
