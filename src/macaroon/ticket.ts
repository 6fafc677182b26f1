import type { Random } from '#base'
import type { Caveat } from './caveat.ts'
import { encodeCaveatSet, readCaveats } from './caveat-set.ts'
import { MacaroonError } from './errors.ts'
import { TOKEN_BYTES_MAX } from './limits.ts'
import { seal, unseal } from './seal.ts'
import { WireReader } from './wire-reader.ts'
import { WireWriter } from './wire-writer.ts'

/**
 * What the author of a third-party caveat tells the third party, sealed with the key the two share:
 *
 *   92  bin(discharge key)  [number, body, ...]
 *
 * The caveats are conditions on who may get the discharge.
 */
export interface Ticket {
  /** The root key of the discharge. */
  readonly dischargeKey: Uint8Array
  readonly caveats: readonly Caveat[]
}

/** @throws MacaroonError macaroon.bad_key: the shared key has not 32 bytes. */
export function sealTicket(sharedKey: Uint8Array, ticket: Ticket, random: Random): Buffer {
  const writer = new WireWriter()
  writer.writeArrayHeader(2)
  writer.writeBytes(ticket.dischargeKey)
  writer.writeRaw(encodeCaveatSet(ticket.caveats))
  return seal(sharedKey, writer.finish(), random)
}

/**
 * @throws MacaroonError macaroon.bad_ticket (another key, damaged, or no ticket inside),
 *   macaroon.bad_key
 */
export function openTicket(sharedKey: Uint8Array, sealed: Uint8Array): Ticket {
  if (sealed.length > TOKEN_BYTES_MAX) throw badTicket('ticket is too long')
  const unsealed = unseal(sharedKey, sealed)
  if (!unsealed.ok) throw badTicket(`recover for discharge: ticket decrypt: ${unsealed.why}`)
  const reader = new WireReader(unsealed.plaintext)
  try {
    reader.readTuple(2, 'ticket')
    const dischargeKey = reader.readBytes()
    return { dischargeKey, caveats: readCaveats(reader, reader.readArrayHeader()) }
  } catch (cause) {
    throw badTicket('recover for discharge: ticket decode', cause)
  }
}

/** The ticket, or undefined where `openTicket` throws for what was sealed. */
export function tryOpenTicket(sharedKey: Uint8Array, sealed: Uint8Array): Ticket | undefined {
  try {
    return openTicket(sharedKey, sealed)
  } catch (error) {
    if (error instanceof MacaroonError && error.code === 'macaroon.bad_ticket') return undefined
    throw error
  }
}

function badTicket(what: string, cause?: unknown): MacaroonError {
  return new MacaroonError('macaroon.bad_ticket', {
    what,
    fix: 'the ticket was made for another third party, or with another shared key',
    ...(cause === undefined ? {} : { cause }),
  })
}
