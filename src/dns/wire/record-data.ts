import { encodeName, type Labels } from './names.ts'

/** Where the target's name stands in the data of an SRV record. */
export const SRV_TARGET_AT = 6
const TXT_STRING_BYTES = 255
/** Of one TXT record: with header, question and owner it fits a TCP message. */
const TXT_BYTES_MAX = 64_000

/** A list as one TXT record: whole elements only, cut into strings of at most 255 bytes. */
export function txtData(elements: readonly string[], separator: string): Buffer {
  let text = ''
  for (const element of elements) {
    const longer = text === '' ? element : `${text}${separator}${element}`
    if (longer.length > TXT_BYTES_MAX) break
    text = longer
  }
  const bytes = Buffer.from(text, 'latin1')
  const strings: Buffer[] = []
  for (let at = 0; at < bytes.length; at += TXT_STRING_BYTES) {
    const string = bytes.subarray(at, at + TXT_STRING_BYTES)
    strings.push(Buffer.of(string.length), string)
  }
  return strings.length === 0 ? Buffer.of(0) : Buffer.concat(strings)
}

/** RFC 2782. Machines of one priority are equals: the weight is 1. */
export function srvData(priority: number, port: number, target: Labels): Buffer {
  const numbers = Buffer.alloc(SRV_TARGET_AT)
  numbers.writeUInt16BE(priority & 0xffff, 0)
  numbers.writeUInt16BE(1, 2)
  numbers.writeUInt16BE(port, 4)
  return Buffer.concat([numbers, encodeName(target)])
}

export interface SoaFields {
  readonly primary: Labels
  readonly mailbox: Labels
  readonly serial: number
  /** How long a negative answer is kept (RFC 2308, section 4). */
  readonly minimumSeconds: number
}

/** RFC 1035, section 3.3.13. */
export function soaData({ primary, mailbox, serial, minimumSeconds }: SoaFields): Buffer {
  const numbers = Buffer.alloc(20)
  const values = [serial >>> 0, 3600, 600, 86_400, minimumSeconds]
  for (const [at, value] of values.entries()) numbers.writeUInt32BE(value, 4 * at)
  return Buffer.concat([encodeName(primary), encodeName(mailbox), numbers])
}

/** RFC 8659, section 4.1: flags 0. */
export function caaData(tag: string, value: string): Buffer {
  return Buffer.concat([Buffer.of(0, tag.length), Buffer.from(`${tag}${value}`, 'latin1')])
}
