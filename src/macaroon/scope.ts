import { Action } from './action.ts'
import { type Caveat, caveatsOf, type ResourceSet } from './caveat.ts'
import { describeDenials } from './denial.ts'
import { MacaroonError } from './errors.ts'
import { evaluateAccess } from './evaluate.ts'
import type { WireInteger } from './wire-integer.ts'

/** What a token is for, read off its verified caveats, those inside IfPresent included. */

/** True when some Organization caveat binds the token; without one it would open every door. */
export function isOrganizationBound(caveats: readonly Caveat[]): boolean {
  return caveatsOf(caveats, 'Organization', { nested: true }).length > 0
}

/**
 * The organisation of the first Organization caveat, which all others must accept.
 *
 * @throws MacaroonError macaroon.unscoped: there is none, or they contradict each other.
 */
export function organizationScope(caveats: readonly Caveat[]): WireInteger {
  const bodies = caveatsOf(caveats, 'Organization', { nested: true })
  const [first] = bodies
  if (first === undefined) throw unscoped('token must be constrained to org')
  const organizations = bodies.map((body) => ({ type: 'Organization', body }) as const)
  const denials = evaluateAccess(organizations, { action: Action.none, orgId: first.id }, 0)
  if (denials.length > 0) throw unscoped(describeDenials(denials))
  return first.id
}

/** Ids that every Apps caveat lists; undefined: not restricted to apps. */
export function appScope(caveats: readonly Caveat[]): WireInteger[] | undefined {
  const sets = caveatsOf(caveats, 'Apps', { nested: true }).map(({ apps }) => apps)
  return commonIds<WireInteger>(sets, 0)
}

/** The same for clusters. */
export function clusterScope(caveats: readonly Caveat[]): string[] | undefined {
  const sets = caveatsOf(caveats, 'Clusters', { nested: true }).map(({ clusters }) => clusters)
  return commonIds(sets, '')
}

function commonIds<Id extends WireInteger | string>(
  sets: readonly ResourceSet<Id>[],
  wildcard: Id,
): Id[] | undefined {
  const limiting = sets.filter((set) => !set?.has(wildcard))
  const [first, ...others] = limiting
  if (first === undefined) return undefined
  return [...(first?.keys() ?? [])].filter((id) => others.every((set) => set?.has(id)))
}

/**
 * Who the token speaks for. For logs only: IsUser is not checked by anybody.
 *
 * @throws MacaroonError macaroon.unscoped: nobody, or several.
 */
export function userOf(caveats: readonly Caveat[]): WireInteger {
  const ids = new Set([
    ...caveatsOf(caveats, 'IsUser', { nested: true }).map(({ id }) => id),
    ...caveatsOf(caveats, 'FlyioUserID', { nested: true }),
  ])
  const [id] = ids
  if (id === undefined) throw unscoped('user ID unspecified')
  if (ids.size > 1) throw unscoped('multiple user IDs specified')
  return id
}

/** Unix second after which no access is granted any more; undefined: never. */
export function expiryOf(caveats: readonly Caveat[]): WireInteger | undefined {
  return caveatsOf(caveats, 'ValidityWindow')
    .map(({ notAfter }) => notAfter)
    .reduce<WireInteger | undefined>(
      (earliest, one) => (earliest === undefined || one < earliest ? one : earliest),
      undefined,
    )
}

const unscoped = (what: string) => new MacaroonError('macaroon.unscoped', { what })
