/** Colour only on a terminal, and never where NO_COLOR is set. Source: no-color.org. */
export function wantsColour(stream: { isTTY?: boolean }): boolean {
  return stream.isTTY === true && !process.env['NO_COLOR']
}
