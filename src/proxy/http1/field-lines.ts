import { Fault } from './fault.ts'
import { Field, fieldOf, hasUnderscore } from './field-name.ts'
import { COLON, CR, FIELD_VALUE, HTAB, LF, NAME_FOLD, SP } from './octets.ts'

/** More lines than this are Fault.headTooLarge. */
export const FIELD_LINES_MAX = 128

/**
 * The field lines of one head: offsets into its bytes, no strings. One object serves every head that a
 * process parses; what it says holds until the next.
 */
export class FieldLines {
  bytes: Uint8Array = new Uint8Array(0)
  count = 0
  /** Per line: start of its name, end of its name, start of its value, end of its value. */
  readonly offsets = new Int32Array(FIELD_LINES_MAX * 4)
  readonly fields = new Uint8Array(FIELD_LINES_MAX)
  /** 1: not sent on as it came. */
  readonly dropped = new Uint8Array(FIELD_LINES_MAX)

  /** Before the empty line that ends the section. */
  sectionEnd = 0

  nameStart(line: number): number {
    return this.offsets[line * 4] as number
  }
  nameEnd(line: number): number {
    return this.offsets[line * 4 + 1] as number
  }
  valueStart(line: number): number {
    return this.offsets[line * 4 + 2] as number
  }
  valueEnd(line: number): number {
    return this.offsets[line * 4 + 3] as number
  }
  /** After its CR LF. */
  lineEnd(line: number): number {
    return line + 1 < this.count ? this.nameStart(line + 1) : this.sectionEnd
  }

  /** The value as text (latin1: an octet a character). */
  value(line: number): string {
    return latin1(this.bytes, this.valueStart(line), this.valueEnd(line))
  }

  /** The values of all lines called `name` (lower case), joined by ', '. COLD. */
  find(name: string): string | undefined {
    let found: string | undefined
    for (let line = 0; line < this.count; line += 1) {
      if (this.nameEnd(line) - this.nameStart(line) !== name.length) continue
      if (latin1(this.bytes, this.nameStart(line), this.nameEnd(line)).toLowerCase() !== name)
        continue
      found = found === undefined ? this.value(line) : `${found}, ${this.value(line)}`
    }
    return found
  }
}

/** bytes[start, end) as text, an octet a character. */
export const latin1 = (bytes: Uint8Array, start: number, end: number): string =>
  Buffer.prototype.latin1Slice.call(bytes, start, end)

/**
 * Reads field lines from bytes[start, end) up to and including the empty line. HOT.
 * Source: RFC 9112, section 5; nothing is forgiven: no bare LF, no folding, no space before the colon.
 *
 * @returns the offset after the empty line, 0 when more bytes are needed, or a Fault.
 */
export function parseFieldLines(
  bytes: Uint8Array,
  start: number,
  end: number,
  lines: FieldLines,
): number {
  const { offsets } = lines
  let count = 0
  let at = start
  lines.bytes = bytes
  for (;;) {
    if (at >= end) return 0
    let octet = bytes[at] as number
    if (octet === CR) {
      if (at + 1 >= end) return 0
      if (bytes[at + 1] !== LF) return Fault.field
      lines.count = count
      lines.sectionEnd = at
      return at + 2
    }
    if (octet === SP || octet === HTAB) return count === 0 ? Fault.field : Fault.fold
    if (count === FIELD_LINES_MAX) return Fault.headTooLarge
    const nameStart = at
    let hash = 0
    for (;;) {
      const folded = NAME_FOLD[octet] as number
      if (folded === 0) break
      hash = (hash * 31 + folded) | 0
      at += 1
      if (at >= end) return 0
      octet = bytes[at] as number
    }
    if (octet !== COLON || at === nameStart) return Fault.field
    const nameEnd = at
    at += 1
    while (at < end && (bytes[at] === SP || bytes[at] === HTAB)) at += 1
    const valueStart = at
    while (at < end && FIELD_VALUE[bytes[at] as number] === 1) at += 1
    if (at + 1 >= end) return at < end && bytes[at] !== CR ? Fault.field : 0
    if (bytes[at] !== CR || bytes[at + 1] !== LF) return Fault.field
    let valueEnd = at
    while (valueEnd > valueStart && isBlank(bytes[valueEnd - 1] as number)) valueEnd -= 1
    at += 2
    const slot = count * 4
    offsets[slot] = nameStart
    offsets[slot + 1] = nameEnd
    offsets[slot + 2] = valueStart
    offsets[slot + 3] = valueEnd
    const field = fieldOf(bytes, nameStart, nameEnd, hash)
    if (field !== 0 && hasUnderscore(bytes, nameStart, nameEnd)) {
      lines.fields[count] = Field.other // a disguise: it is sent to nobody
      lines.dropped[count] = 1
    } else {
      lines.fields[count] = field
      lines.dropped[count] = 0
    }
    count += 1
  }
}

const isBlank = (octet: number): boolean => octet === SP || octet === HTAB

/** True when bytes[start, end) is `text` (lower case), whatever its case. */
export function isText(bytes: Uint8Array, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false
  for (let index = 0; index < text.length; index += 1) {
    const octet = bytes[start + index] as number
    const lower = octet >= 65 && octet <= 90 ? octet + 32 : octet
    if (lower !== text.charCodeAt(index)) return false
  }
  return true
}

/**
 * A decimal Content-Length. @returns -1 for anything but 1 to 15 digits (RFC 9110, section 8.6; more
 * would not be exact in a double).
 */
export function parseLength(bytes: Uint8Array, start: number, end: number): number {
  if (end === start || end - start > 15) return -1
  let length = 0
  for (let at = start; at < end; at += 1) {
    const digit = (bytes[at] as number) - 48
    if (digit < 0 || digit > 9) return -1
    length = length * 10 + digit
  }
  return length
}

/** What a Connection field says; its other tokens name fields of this hop alone, which are dropped. */
export const ConnectionOption = { close: 1, keepAlive: 2, upgrade: 4 } as const

/**
 * Reads the value of line `line` as a Connection field.
 * @returns the ConnectionOptions it has; drops the lines that it names. Source: RFC 9110, section 7.6.1.
 */
export function readConnection(lines: FieldLines, line: number): number {
  const { bytes } = lines
  const start = lines.valueStart(line)
  const end = lines.valueEnd(line)
  if (isText(bytes, start, end, 'keep-alive')) return ConnectionOption.keepAlive
  if (isText(bytes, start, end, 'close')) return ConnectionOption.close
  let options = 0
  for (const token of latin1(bytes, start, end).toLowerCase().split(',')) {
    const name = token.trim()
    if (name === 'close') options |= ConnectionOption.close
    else if (name === 'keep-alive') options |= ConnectionOption.keepAlive
    else if (name === 'upgrade') options |= ConnectionOption.upgrade
    else if (name !== '') dropNamed(lines, name)
  }
  return options
}

function dropNamed(lines: FieldLines, name: string): void {
  for (let line = 0; line < lines.count; line += 1) {
    if (isText(lines.bytes, lines.nameStart(line), lines.nameEnd(line), name))
      lines.dropped[line] = 1
  }
}
