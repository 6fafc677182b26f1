import type { Accounts } from '#accounts'
import { type Clock, errorCode } from '#base'
import { Action, type Verifier } from '#macaroon'
import type { FeedAccess, FeedReader } from '#observe'
import { accessOf } from '../access-rule.ts'
import { Caller } from '../caller.ts'
import type { NetworkSource } from './network-source.ts'

export interface FeedAccessOptions {
  readonly accounts: Pick<Accounts, 'app' | 'apps'>
  readonly verifier: Verifier
  readonly clock: Clock
}

const READ = { on: 'app', action: Action.read } as const

/**
 * The log stream of one organisation, for a connection from one of its networks: the user is its slug, the password a
 * token, with or without scheme. What a token may read is what it may read by the API.
 */
export function feedAccess(
  { organization: { numericId: orgId, slug } }: NetworkSource,
  { accounts, verifier, clock }: FeedAccessOptions,
): FeedAccess {
  /** Undefined: it does not verify now, or not for this organisation. */
  const callerOf = (password: string): Caller | undefined => {
    try {
      const caller = new Caller(password, verifier, orgId)
      caller.requireLive(clock.nowMs())
      return caller
    } catch (error) {
      if (REFUSALS.has(errorCode(error) ?? '')) return undefined
      throw error
    }
  }
  const readerOf = (password: string): FeedReader => ({
    group: String(orgId),
    apps() {
      const caller = callerOf(password) // it may have been revoked
      if (caller === undefined) return undefined
      const nowMs = clock.nowMs()
      const readable = accounts
        .apps(slug)
        .filter(({ id: appId }) => caller.allows(accessOf(READ, { orgId, appId }), nowMs))
      return new Set(readable.map(({ name }) => name))
    },
    mayRead: (app) => accounts.app(app)?.organization.id === orgId,
  })
  return {
    open: ({ user, password }) =>
      user === slug && callerOf(password) !== undefined ? readerOf(password) : undefined,
  }
}

const REFUSALS: ReadonlySet<string> = new Set(['flaps.unauthenticated', 'flaps.forbidden'])
