import { NAME_FOLD } from './octets.ts'

/**
 * The fields that the proxy itself acts on. Others are `other` and travel as they came.
 * Each name is written as NAME_FOLD sees it.
 */
export const Field = {
  other: 0,
  host: 1,
  'content-length': 2,
  'transfer-encoding': 3,
  connection: 4,
  upgrade: 5,
  expect: 6,
  te: 7,
  'keep-alive': 8,
  'proxy-connection': 9,
  'proxy-authorization': 10,
  'http2-settings': 11,
  'x-forwarded-for': 12,
  'x-forwarded-proto': 13,
  'x-forwarded-ssl': 14,
  'x-forwarded-port': 15,
  via: 16,
  'x-request-start': 17,
  'fly-client-ip': 18,
  'fly-forwarded-port': 19,
  'fly-forwarded-proto': 20,
  'fly-forwarded-ssl': 21,
  'fly-region': 22,
  'fly-request-id': 23,
  'fly-replay-src': 24,
  'fly-replay-failed': 25,
  'fly-replay-cache-status': 26,
  'fly-preferred-instance-unavailable': 27,
  server: 28,
  'fly-replay': 29,
  'fly-replay-cache': 30,
  'fly-replay-cache-ttl-secs': 31,
  'fly-replay-cache-allow-bypass': 32,
  trailer: 33,
  date: 34,
  'fly-traceparent': 35,
  'fly-tracestate': 36,
} as const
export type Field = (typeof Field)[keyof typeof Field]

const SLOTS = 4096
const names = Object.keys(Field).map((name) => Buffer.from(name))
const slots = new Uint8Array(SLOTS)

/** What a name's octets are folded into, one after the other, from 0. */
export const foldHash = (hash: number, folded: number): number => (hash * 31 + folded) | 0

for (const [id, name] of names.entries()) {
  if (id === 0) continue
  const slot = name.reduce(foldHash, 0) & (SLOTS - 1)
  if (slots[slot] !== 0) throw new Error(`two field names share a slot: ${name}`)
  slots[slot] = id
}

/**
 * The field that bytes[start, end) names; `hash` is of its folded octets. HOT.
 * `Content_Length` is found, too: whoever acts on a field asks `hasUnderscore` first.
 */
export function fieldOf(bytes: Uint8Array, start: number, end: number, hash: number): number {
  const id = slots[hash & (SLOTS - 1)] as number
  if (id === 0) return 0
  const name = names[id] as Buffer
  if (name.length !== end - start) return 0
  for (let index = 0; index < name.length; index += 1) {
    if (NAME_FOLD[bytes[start + index] as number] !== name[index]) return 0
  }
  return id
}

/** True when bytes[start, end) holds an underscore: such a name is only ever dropped. */
export function hasUnderscore(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at += 1) if (bytes[at] === 95) return true
  return false
}
