import type { Access } from './access.ts'
import { ACTIONS_LETTERED, Action, type ActionMask, actionsFit } from './action.ts'

/** Bits of AllowedRoles. Admin is every bit, so that later roles are below it. */
export const Role = { member: 1, billingManager: 2, admin: 0xffff_ffff } as const

/** What members may do to features of their organisation; all other features are for admins. */
// biome-ignore format: a table
const memberActions: ReadonlyMap<string, ActionMask> = new Map([
  ['wg', ACTIONS_LETTERED], ['domain', ACTIONS_LETTERED], ['site', ACTIONS_LETTERED],
  ['builder', ACTIONS_LETTERED], ['addon', ACTIONS_LETTERED], ['checks', ACTIONS_LETTERED],
  ['litefs-cloud', ACTIONS_LETTERED],
  ['membership', Action.read], ['billing', Action.read], ['authentication', Action.read],
  ['deletion', Action.none], ['document_signing', Action.none],
])

/** The least role that suffices: member outside of features, else by the table. */
export function roleNeeded({ feature, action }: Access): 'member' | 'admin' {
  if (feature === undefined) return 'member'
  const mask = memberActions.get(feature)
  return mask !== undefined && actionsFit(action, mask) ? 'member' : 'admin'
}

/** True when the roles in `allowed` include all bits of `needed`. */
export function roleSuffices(allowed: number, needed: 'member' | 'admin'): boolean {
  return (Role[needed] & ~allowed) === 0
}
