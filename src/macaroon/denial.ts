import { type ActionMask, printActions } from './action.ts'
import type { Caveat } from './caveat.ts'

/**
 * Why a caveat refuses, as data. `message` is the text that clients of the original format match
 * on; `values` has what it speaks of.
 *
 *   unspecified      the access names no such resource; inside IfPresent this means "absent"
 *   exclusive        the access names two things at once
 *   invalid_access   the caveat cannot judge this kind of request
 *   bad_caveat       no request can satisfy it: unknown, misplaced or contradictory
 *   for_resource, for_action, for_role   outside of what the caveat lists
 *   unauthorized     any other refusal
 *   unauthenticated  a ticket asks for another user than the one who came
 */
export interface Denial {
  readonly kind: DenialKind
  readonly message: string
  readonly values: Readonly<Record<string, unknown>>
  /** The caveat of the token that refused, the outermost one; absent: the access itself is bad. */
  readonly caveat?: Caveat
  /** Its place among the caveats that were evaluated. */
  readonly caveatIndex?: number
}

export type DenialKind =
  | 'unspecified'
  | 'exclusive'
  | 'invalid_access'
  | 'bad_caveat'
  | 'for_resource'
  | 'for_action'
  | 'for_role'
  | 'unauthorized'
  | 'unauthenticated'

/** The classes a denial belongs to, narrowest first, as the original's error values nest. */
export function denialClasses(kind: DenialKind): readonly string[] {
  switch (kind) {
    case 'unspecified':
    case 'exclusive':
      return [kind, 'invalid_access', 'unauthorized']
    case 'unauthorized':
    case 'unauthenticated':
      return [kind]
    default:
      return [kind, 'unauthorized']
  }
}

/** All messages in one line. */
export function describeDenials(denials: readonly Denial[]): string {
  return denials.map(({ message }) => message).join('; ')
}

type Values = Denial['values']
const BAD_DATA = 'unauthorized: bad data for token verification'

/** `text` follows "must specify", with its own blank or colon. */
export const unspecified = (text: string, values: Values = {}): Denial => ({
  kind: 'unspecified',
  message: `${BAD_DATA}: must specify${text}`,
  values,
})

export const exclusive = (named: readonly string[]): Denial => ({
  kind: 'exclusive',
  message: `${BAD_DATA}: resources are mutually exclusive: ${named.join(', ')}`,
  values: { named },
})

export const invalidAccess = (text = '', values: Values = {}): Denial => ({
  kind: 'invalid_access',
  message: `${BAD_DATA}${text}`,
  values,
})

export const badCaveat = (text = '', values: Values = {}): Denial => ({
  kind: 'bad_caveat',
  message: `unauthorized: bad caveat${text}`,
  values,
})

export const forResource = (text: string, values: Values): Denial => ({
  kind: 'for_resource',
  message: `unauthorized for ${text}`,
  values,
})

/** `on` names the kind of resource whose mask was too small; absent for a bare mask. */
export function forAction(asked: ActionMask, granted: ActionMask, on?: string): Denial {
  const [access, missing] = [printActions(asked), printActions(asked & ~granted)]
  const where = on === undefined ? '' : ` on ${on}`
  return {
    kind: 'for_action',
    message: `unauthorized for access ${access}${where} (${missing} not allowed)`,
    values: { asked: access, granted: printActions(granted), ...(on === undefined ? {} : { on }) },
  }
}

export const forRole = (allowed: number, needed: string): Denial => ({
  kind: 'for_role',
  message: `unauthorized for role: allowed roles (${allowed}) not permitted ([${needed}])`,
  values: { allowed, needed },
})

export const unauthorized = (text: string, values: Values): Denial => ({
  kind: 'unauthorized',
  message: `unauthorized: ${text}`,
  values,
})

export const unauthorizedSource = (text: string, values: Values): Denial => ({
  kind: 'unauthorized',
  message: `unauthorized source, ${text}`,
  values,
})

export const unauthenticated = (text: string, values: Values): Denial => ({
  kind: 'unauthenticated',
  message: `must authenticate with ${text}`,
  values,
})
