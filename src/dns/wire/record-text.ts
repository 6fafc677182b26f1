import { ipv6Text } from '../directory/six-pn.ts'
import { TYPE } from './constants.ts'
import { SRV_TARGET_AT } from './record-data.ts'

const NAMES = new Map<number, string>(Object.entries(TYPE).map(([name, type]) => [type, name]))

/** `AAAA`; `TYPE65` for one that has no name here (RFC 3597, section 5). */
export const typeName = (type: number): string => NAMES.get(type) ?? `TYPE${type}`

/** The opposite of `typeName`, in any letters' case; undefined for what is no type. */
export function typeOf(name: string): number | undefined {
  const upper = name.toUpperCase()
  const known = [...NAMES].find(([, candidate]) => candidate === upper)
  const [, digits] = /^TYPE(\d{1,5})$/.exec(upper) ?? []
  return (
    known?.[0] ?? (digits !== undefined && Number(digits) < 65_536 ? Number(digits) : undefined)
  )
}

/** Data of a record that this server made (names in it are not compressed), as people read it; others in hex. */
export function recordText(type: number, data: Buffer): string {
  if (type === TYPE.A) return [...data].join('.')
  if (type === TYPE.AAAA) return ipv6Text(data)
  if (type === TYPE.TXT) return stringsText(data)
  if (type === TYPE.PTR || type === TYPE.NS) return nameText(data, 0).text
  if (type === TYPE.SRV) {
    const numbers = [0, 2, 4].map((at) => data.readUInt16BE(at))
    return [...numbers, nameText(data, SRV_TARGET_AT).text].join(' ')
  }
  if (type === TYPE.CAA) return `${data[0]} ${data.toString('latin1', 2)}`
  if (type !== TYPE.SOA) return data.toString('hex')
  const primary = nameText(data, 0)
  const mailbox = nameText(data, primary.end)
  const numbers = Array.from({ length: 5 }, (_, at) => data.readUInt32BE(mailbox.end + 4 * at))
  return [primary.text, mailbox.text, ...numbers].join(' ')
}

function stringsText(data: Buffer): string {
  let text = ''
  for (let at = 0; at < data.length; at += 1 + (data[at] as number)) {
    text += data.toString('latin1', at + 1, at + 1 + (data[at] as number))
  }
  return text
}

function nameText(data: Buffer, start: number): { readonly text: string; readonly end: number } {
  let text = ''
  let at = start
  for (; (data[at] ?? 0) > 0; at += 1 + (data[at] as number)) {
    text += `${data.toString('latin1', at + 1, at + 1 + (data[at] as number))}.`
  }
  return { text: text || '.', end: at + 1 }
}
