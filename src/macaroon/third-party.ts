import { type Random, systemRandom } from '#base'
import type { Caveat } from './caveat.ts'
import { appendThirdParty, attenuate, mint } from './chain.ts'
import { describeDenials } from './denial.ts'
import type { DischargeRequest } from './discharge-request.ts'
import { MacaroonError } from './errors.ts'
import { evaluateTicket } from './evaluate.ts'
import { sha256 } from './hmac.ts'
import type { Macaroon } from './macaroon.ts'
import { openTicket, sealTicket, type Ticket } from './ticket.ts'

/** Both sides of a third-party caveat: who asks for one, and who discharges it. */

const DISCHARGE_KEY_BYTES = 32
const BINDING_BYTES = 16

export interface ThirdPartyOptions {
  /** Of the third party: where discharges are fetched. */
  readonly location: string
  /** 32 bytes, shared with the third party. */
  readonly sharedKey: Uint8Array
  /** Conditions for the third party to check before it discharges. @default none */
  readonly ticketCaveats?: readonly Caveat[]
  readonly random?: Random
}

/**
 * The token, which is good from now on only together with a discharge of this third party.
 *
 * @throws MacaroonError macaroon.bad_key, and as `attenuate`
 */
export function addThirdParty(macaroon: Macaroon, options: ThirdPartyOptions): Macaroon {
  const { location, sharedKey, ticketCaveats = [], random = systemRandom } = options
  const dischargeKey = random.bytes(DISCHARGE_KEY_BYTES)
  const ticket = sealTicket(sharedKey, { dischargeKey, caveats: ticketCaveats }, random)
  return appendThirdParty(macaroon, { location, ticket, dischargeKey }, random)
}

export interface DischargeOptions {
  readonly location: string
  /** As it came from the token, sealed. */
  readonly sealedTicket: Uint8Array
  readonly ticket: Ticket
  /** What the discharge says: attestations, a validity window. */
  readonly caveats?: readonly Caveat[]
  readonly random?: Random
}

/** A finalised discharge, without asking whether the ticket's caveats hold: see `dischargeFor`. */
export function mintDischarge(options: DischargeOptions): Macaroon {
  const { location, sealedTicket, ticket, caveats = [], random = systemRandom } = options
  const { dischargeKey: key } = ticket
  return mint({ key, kid: sealedTicket, location, caveats, isProof: true, random })
}

/**
 * What a third party does with a ticket: open it, judge its caveats by who came, and vouch.
 *
 * @throws MacaroonError macaroon.bad_ticket; macaroon.third_party_refused with `denials`: also when
 *   the ticket has a caveat that this version does not know.
 */
export function dischargeFor(
  options: Omit<DischargeOptions, 'ticket'> & { readonly sharedKey: Uint8Array },
  request: DischargeRequest,
  nowMs: number,
): Macaroon {
  const ticket = openTicket(options.sharedKey, options.sealedTicket)
  const denials = evaluateTicket(ticket.caveats, request, nowMs)
  if (denials.length > 0) {
    throw new MacaroonError('macaroon.third_party_refused', {
      what: describeDenials(denials),
      values: { location: options.location, denials },
    })
  }
  return mintDischarge({ ...options, ticket })
}

/** What a discharge is bound to: a digest of a tail of the parent's chain. */
export function bindingId(parent: Macaroon): Buffer {
  return sha256(parent.tail).subarray(0, BINDING_BYTES)
}

/**
 * A discharge of the older kind, no proof, good only with `parent` and what is made from it.
 *
 * @throws MacaroonError macaroon.finalized: a proof takes the binding when it is minted.
 */
export function bindDischarge(discharge: Macaroon, parent: Macaroon): Macaroon {
  return attenuate(discharge, [{ type: 'BindToParentToken', body: bindingId(parent) }])
}

/** What the caveats of a token need: sealed tickets by location, also those inside IfPresent. */
export function ticketsOf(caveats: readonly Caveat[]): { location: string; ticket: Uint8Array }[] {
  return caveats.flatMap((caveat) => {
    if (caveat.type === 'IfPresent') return ticketsOf(caveat.body.ifs ?? [])
    if (caveat.type !== '3P') return []
    return [{ location: caveat.body.location, ticket: caveat.body.ticket ?? new Uint8Array(0) }]
  })
}
