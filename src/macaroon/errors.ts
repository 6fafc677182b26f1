import { type Fault, GodwitError } from '#base'

export type MacaroonErrorCode = keyof typeof MacaroonError.catalogue

/** What this part throws. Outside bytes cause nothing else. */
export class MacaroonError extends GodwitError<MacaroonErrorCode> {
  static override readonly catalogue = {
    'macaroon.malformed': { status: 400 },
    'macaroon.truncated': { status: 400 },
    'macaroon.over_limit': { status: 400 },
    'macaroon.bad_header': { status: 400 },
    'macaroon.bad_caveat': { status: 400 },
    'macaroon.bad_access': { status: 400 },
    'macaroon.bad_ticket': { status: 400 },
    'macaroon.bad_key': { status: 400 },
    'macaroon.bad_exchange': { status: 400 },
    'macaroon.finalized': { status: 400 },
    'macaroon.attestation_misplaced': { status: 400 },
    'macaroon.third_party_repeated': { status: 400 },
    'macaroon.third_party_refused': { status: 401 },
    'macaroon.permission_token_missing': { status: 401 },
    'macaroon.permission_token_repeated': { status: 400 },
    'macaroon.unverified': { status: 401 },
    'macaroon.denied': { status: 403 },
    'macaroon.no_access_asked': { status: 400 },
    'macaroon.unscoped': { status: 403 },
    'macaroon.exchange_full': { status: 503, transient: true },
  } as const

  constructor(code: MacaroonErrorCode, fault: Fault) {
    super(code, fault.values === undefined ? fault : { ...fault, values: jsonSafe(fault.values) })
  }
}

/** Ids of tokens may be bigints, which JSON.stringify refuses; errors print on every path. */
function jsonSafe(values: NonNullable<Fault['values']>): NonNullable<Fault['values']> {
  return JSON.parse(
    JSON.stringify(values, (_key, value: unknown) =>
      typeof value === 'bigint' ? String(value) : value,
    ),
  )
}

/** Bytes that are no token of this format; `offset` counts from the start of the token. */
export function malformed(what: string, values: Fault['values'] = {}): MacaroonError {
  return new MacaroonError('macaroon.malformed', { what, values })
}

/** A bound of limits.ts was passed; the value and the bound are in the error. */
export function overLimit(what: string, values: { limit: number; got: number }): MacaroonError {
  return new MacaroonError('macaroon.over_limit', { what, values })
}
