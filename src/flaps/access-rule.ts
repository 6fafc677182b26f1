import type { Access, ActionMask } from '#macaroon'

/**
 * What a call needs. Every endpoint has one; there is no default. The target is taken from the path
 * (`:app`, `:machine`, `:volume`, `:org`) unless `slugFrom` says otherwise.
 */
export type AccessRule =
  /** Nobody is asked who they are. `why` is for the reader of the OpenAPI document. */
  | { readonly on: 'nothing'; readonly why: string }
  /** Any token that is good at the moment. */
  | { readonly on: 'token' }
  | {
      readonly on: 'org'
      readonly action: ActionMask
      readonly slugFrom: 'path' | 'query' | 'body'
      readonly feature?: string
      /** As tokens name it that may do no more than some of these. */
      readonly mutation?: string
      /** A token of the operators' organisation that grants the action there will do as well. */
      readonly orOperators?: true
    }
  /** The platform's organisations: a token of the operators' own that grants the action there. */
  | { readonly on: 'operators'; readonly action: ActionMask }
  /** An app that is not there yet, in the organisation that the body names. */
  | { readonly on: 'newApp'; readonly action: ActionMask }
  | {
      readonly on: 'app'
      readonly action: ActionMask
      /** @default the path; `body`: its `app_name` */
      readonly nameFrom?: 'path' | 'body'
      readonly feature?: string
      readonly mutation?: string
    }
  | { readonly on: 'newMachine'; readonly action: ActionMask }
  | {
      readonly on: 'machine'
      readonly action: ActionMask
      readonly feature?: string
      /** What is to be run, read from the body. */
      readonly command?: (body: unknown) => readonly string[]
    }
  /** The machine that asks, by its own socket: no token of anybody else is enough. */
  | { readonly on: 'self'; readonly feature: string }
  | { readonly on: 'newVolume'; readonly action: ActionMask }
  | { readonly on: 'volume'; readonly action: ActionMask }

/** The targets of one call, as far as its rule names them. */
export interface TargetIds {
  readonly orgId: number
  readonly appId?: number
  readonly machine?: string
  readonly volume?: string
  readonly body?: unknown
  /** The machine that asks, by its own socket. */
  readonly sourceMachine?: string
}

/**
 * What the token's caveats are asked. Id 0 or '' is "not known yet", which only a wildcard grants.
 */
export function accessOf(rule: AccessRule, target: TargetIds): Access {
  const { sourceMachine } = target
  const access = accessFromAnywhere(rule, target)
  return sourceMachine === undefined ? access : { ...access, sourceMachine }
}

function accessFromAnywhere(rule: AccessRule, target: TargetIds): Access {
  const { orgId, appId = 0, machine = '', volume = '' } = target
  switch (rule.on) {
    case 'nothing':
    case 'token':
      return { action: 0, orgId }
    case 'org': {
      const { action, feature, mutation } = rule
      return { action, orgId, ...(feature === undefined ? {} : { feature }), ...named(mutation) }
    }
    case 'operators':
      return { action: rule.action, orgId }
    case 'newApp':
      return { action: rule.action, orgId, appId: 0 }
    case 'app':
      return {
        ...{ action: rule.action, orgId, appId },
        ...appFeature(rule.feature),
        ...named(rule.mutation),
      }
    case 'self':
      return { action: 0, orgId, appId, machine, machineFeature: rule.feature }
    case 'newMachine':
      return { action: rule.action, orgId, appId, machine: '' }
    case 'newVolume':
      return { action: rule.action, orgId, appId, volume: '' }
    case 'volume':
      return { action: rule.action, orgId, appId, volume }
    case 'machine': {
      const { action, feature, command } = rule
      const base = { action, orgId, appId, machine }
      if (command !== undefined) return { ...base, command: command(target.body) }
      return feature === undefined ? base : { ...base, machineFeature: feature }
    }
  }
}

const named = (mutation: string | undefined) => (mutation === undefined ? {} : { mutation })

const appFeature = (feature: string | undefined) =>
  feature === undefined ? {} : { appFeature: feature }
