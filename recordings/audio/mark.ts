/** Whether the text of a tag or of a header is at this offset. */
export function isMark(bytes: Buffer, offset: number, mark: string): boolean {
  return bytes.toString('latin1', offset, offset + mark.length) === mark
}
