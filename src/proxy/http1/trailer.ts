import { FieldLines, parseFieldLines } from './field-lines.ts'
import { Field } from './field-name.ts'

const lines = new FieldLines()

/**
 * The trailer section as it may be sent on: fields that the proxy acts on in a head (framing, routing,
 * identity) have no business in it (RFC 9110, section 6.5.1).
 * @param section with its last empty line.
 * @returns the section, with its last empty line; undefined when nothing is left; a Fault when malformed.
 */
export function cleanTrailer(section: Buffer): Buffer | undefined | number {
  const end = parseFieldLines(section, 0, section.length, lines)
  if (end !== section.length) return end < 0 ? end : -13
  const kept: Uint8Array[] = []
  for (let line = 0; line < lines.count; line += 1) {
    if (lines.fields[line] !== Field.other || lines.dropped[line] === 1) continue
    kept.push(section.subarray(lines.nameStart(line), lines.lineEnd(line)))
  }
  return kept.length === 0 ? undefined : Buffer.concat([...kept, Buffer.from('\r\n')])
}
