import { parseIp } from 'ip-bigint'
import { Net6Error } from '../errors.ts'

/** The four bytes. @throws Net6Error net6.address_bad */
export function ipv4Bytes(text: string): Buffer {
  const parts = text.split('.').map(Number)
  const isGood = parts.length === 4 && parts.every((part) => part >= 0 && part <= 255)
  if (isGood && parseIp(text).version === 4) return Buffer.from(parts)
  throw new Net6Error('net6.address_bad', { what: 'not an IPv4 address', values: { text } })
}

/** The six bytes. @throws Net6Error net6.address_bad */
export function macBytes(text: string): Buffer {
  if (/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(text))
    return Buffer.from(text.replaceAll(':', ''), 'hex')
  throw new Net6Error('net6.address_bad', { what: 'not a MAC address', values: { text } })
}
