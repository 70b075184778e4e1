import { describe, expect, test } from '@jest/globals'
import { maskNumber, maskNumbersIn } from '../../calls/mask-number.ts'

describe('When a person may not see phone numbers,', () => {
  test.each([
    ['09876543210', '*******3210'],
    ['+91 98765-43210', '+** *****-*3210'],
    ['12345', '****'],
    ['sip:alice@example.com', '****'],
    [null, null],
  ])('then %s is shown as %s', (number, shown) => {
    expect(maskNumber(number)).toBe(shown)
  })

  test.each([
    ['order 1234', 'order 1234'],
    ['call back 09876543210 or +91 98765 43211', 'call back *******3210 or +** ***** *3211'],
    [null, null],
  ])('then the text %j is shown as %j', (text, shown) => {
    expect(maskNumbersIn(text)).toBe(shown)
  })
})
