import type { Mistake } from './mistake.ts'

/** Mistakes in reading fields of a webhook that are repeated, nested or in an unusual notation. */
export const fields: Mistake[] = [
  {
    breaks: 'the event of a ringing phone that repeats its EventType ends the call as busy',
    file: 'exotel/call-status.ts',
    text: "types.some((type) => type.toLowerCase() !== 'terminal')",
    replacement: "types.length === 1 && types[0]!.toLowerCase() !== 'terminal'",
    tests: ['tests/unit/repeated-fields.test.ts'],
    only: 'one value of a field names a leg',
  },
  {
    breaks: "the status of an agent's line without EventType is that of the call",
    file: 'exotel/call-status.ts',
    text: '[...types, ...givenTexts(Status)].length > 0',
    replacement: 'types.length > 0',
    tests: ['tests/unit/repeated-fields.test.ts'],
    only: 'one value of a field names a leg',
  },
  {
    breaks: "Passthru's last event, which names the agent's number, does not end the call",
    file: 'exotel/call-status.ts',
    text: '&& [...types, ...givenTexts(Status)].length > 0',
    replacement: '',
    tests: ['tests/unit/repeated-fields.test.ts'],
    only: 'no value of a field names a leg',
  },
  {
    breaks: 'of two fields Stream, no link is read',
    file: 'exotel/call-event.ts',
    text: 'if (Array.isArray(value)) return value.flatMap(linksInStream)\n',
    replacement: 'if (Array.isArray(value)) return []\n',
    tests: ['tests/unit/repeated-fields.test.ts'],
    only: 'links are given in any notation',
  },
  {
    breaks: 'links in names with dots are dropped',
    file: 'exotel/call-event.ts',
    text: '/^(?:Stream\\.(?:.+\\.)?)?RecordingUrl(?:\\..+)?$/',
    replacement: '/^RecordingUrl$/',
    tests: ['tests/unit/repeated-fields.test.ts'],
    only: 'links are given in any notation',
  },
  {
    breaks: 'links in names with brackets and dots are dropped',
    file: 'exotel/decode-fields.ts',
    text: ', decoder: decodePart }',
    replacement: ' }',
    tests: ['tests/unit/repeated-fields.test.ts'],
    only: 'links are given in any notation',
  },
  {
    breaks: 'of two links in a JSON body, the first is dropped',
    file: 'exotel/decode-fields.ts',
    text: 'each.length === 1 ? each[0] : each',
    replacement: 'each.at(-1)',
    tests: ['tests/unit/repeated-fields.test.ts'],
    only: 'a JSON body contains a name several times',
  },
]
