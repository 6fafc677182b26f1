import { DnsError } from '../errors.ts'

/** Labels in lower case, the leftmost first; bytes are Latin-1 characters. The root is the empty list. */
export type Labels = readonly string[]

const LABEL_BYTES_MAX = 63
const NAME_BYTES_MAX = 255

/**
 * Where the name at `at` ends, without following its pointer (RFC 1035, section 4.1.4);
 * -1 when it runs out of the packet or is no name. Reads each byte once: no loop is possible.
 */
export function skipName(packet: Uint8Array, at: number): number {
  let offset = at
  while (offset < packet.length) {
    const length = packet[offset] as number
    if (length === 0) return offset + 1
    if (length >= 0xc0) return offset + 2 <= packet.length ? offset + 2 : -1
    if (length > LABEL_BYTES_MAX) return -1
    offset += 1 + length
    if (offset - at > NAME_BYTES_MAX) return -1
  }
  return -1
}

/** Can `encodeName` write it? */
export function isEncodable(labels: Labels): boolean {
  const isGood = ({ length }: string) => length > 0 && length <= LABEL_BYTES_MAX
  const size = labels.reduce((sum, { length }) => sum + 1 + length, 1)
  return size <= NAME_BYTES_MAX && labels.every(isGood)
}

/** @throws DnsError dns.name_bad */
export function encodeName(labels: Labels): Buffer {
  if (!isEncodable(labels)) {
    throw new DnsError('dns.name_bad', {
      what: 'not a domain name',
      values: { name: labels.join('.') },
      fix: 'labels have 1 to 63 bytes, names at most 255',
    })
  }
  const parts: Buffer[] = []
  for (const label of labels) {
    parts.push(Buffer.of(label.length), Buffer.from(label, 'latin1'))
  }
  return Buffer.concat([...parts, Buffer.of(0)])
}

/** `my.app.internal` or `my.app.internal.`; a label cannot hold a dot here. */
export function labelsOf(name: string): Labels {
  const bare = name.endsWith('.') ? name.slice(0, -1) : name
  return bare === '' ? [] : bare.toLowerCase().split('.')
}

/** Is `labels` `zone` itself or a name below it? */
export function isWithin(labels: Labels, zone: Labels): boolean {
  const skipped = labels.length - zone.length
  return skipped >= 0 && zone.every((label, at) => label === labels[skipped + at])
}
