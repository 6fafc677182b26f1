/**
 * Records: what the payload of a request or an answer holds. The other end is native/init/record.c.
 *
 *   offset  size  field      integers are big-endian
 *   0       2     tag        RecordTag
 *   2       4     length     of the value
 *   6       n     value      one or more texts, each ended by a zero byte
 *
 * Numbers are decimal texts. A tag that the reader does not know is skipped.
 */
import { AgentError, protocolBroken } from './errors.ts'

export const RecordTag = {
  ...{ hostname: 1, root: 2, mount: 3, swap: 4, host: 5, nameserver: 6, search: 7, link: 8 },
  ...{ address: 9, env: 10, argv: 11, user: 12, cwd: 13, rlimit: 14, tty: 15, input: 16 },
  ...{ signal: 32, timeoutMs: 33, mode: 34, path: 35, owner: 36, target: 37, time: 38 },
  ...{ entropy: 39, state: 64, offsets: 65, error: 66, result: 67, limits: 68 },
  ...{ memory: 80, load: 81, disk: 82, net: 83, processes: 84 },
} as const
export type RecordTag = (typeof RecordTag)[keyof typeof RecordTag]

/** A tag and its texts, at least one. */
export type Rec = readonly [tag: number, ...texts: (string | number)[]]

const HEADER_BYTES = 6

/** @throws AgentError guest.value_bad: a text holds a zero byte. */
export function encodeRecords(records: readonly Rec[]): Buffer {
  return Buffer.concat(records.map(encodeRecord))
}

function encodeRecord([tag, ...texts]: Rec): Buffer {
  const bad = texts.find((text) => String(text).includes('\0'))
  if (bad !== undefined || texts.length === 0) {
    throw new AgentError('guest.value_bad', {
      what: 'a text for the machine holds a zero byte, or there is none',
      values: { tag },
    })
  }
  const value = Buffer.from(`${texts.join('\0')}\0`)
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt16BE(tag, 0)
  header.writeUInt32BE(value.length, 2)
  return Buffer.concat([header, value])
}

export interface DecodedRecord {
  readonly tag: number
  readonly texts: readonly string[]
}

/** @throws AgentError guest.protocol_broken: these bytes are not records to the last one. */
export function decodeRecords(bytes: Buffer): DecodedRecord[] {
  const records: DecodedRecord[] = []
  for (let at = 0; at < bytes.length; ) {
    if (bytes.length - at < HEADER_BYTES) throw protocolBroken('a record is cut short')
    const valueBytes = bytes.readUInt32BE(at + 2)
    const start = at + HEADER_BYTES
    const end = start + valueBytes
    if (valueBytes === 0 || end > bytes.length || bytes[end - 1] !== 0)
      throw protocolBroken('a record has a bad length', { valueBytes })
    const texts = bytes.toString('utf8', start, end - 1).split('\0')
    records.push({ tag: bytes.readUInt16BE(at), texts })
    at = end
  }
  return records
}

/** The texts of the first record of that tag; none when there is no such record. */
export function findTexts(records: readonly DecodedRecord[], tag: RecordTag): readonly string[] {
  return records.find((record) => record.tag === tag)?.texts ?? []
}
