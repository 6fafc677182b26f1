import type { EdgeKeyRing } from './edge-key-ring.ts'

/** A key makes tickets for so long, and its tickets are taken for as long again. */
export const TICKET_PERIOD_MS = 12 * 3_600_000
/** What OpenSSL 3 takes: 16 bytes of name, 32 of AES, 32 of HMAC. */
export const TICKET_KEY_BYTES = 80

/**
 * The keys of TLS session tickets at a moment, the newest first: all edges derive the same ones from their key ring,
 * so that a session begun at one resumes at any other. They change twice a day, and nothing has to be told.
 *
 * @param nowMs since the epoch
 */
export function ticketKeys(keys: EdgeKeyRing, nowMs: number): readonly [Buffer, Buffer] {
  const period = Math.floor(nowMs / TICKET_PERIOD_MS)
  return [keyOf(keys, period), keyOf(keys, period - 1)]
}

/** When the next change is due: milliseconds since the epoch. */
export const nextTicketChangeMs = (nowMs: number): number =>
  (Math.floor(nowMs / TICKET_PERIOD_MS) + 1) * TICKET_PERIOD_MS

const keyOf = (keys: EdgeKeyRing, period: number) =>
  keys.derive(`godwit tls ticket key ${period}`, TICKET_KEY_BYTES)
