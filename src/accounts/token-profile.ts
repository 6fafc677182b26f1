import { Action, type ActionMask, type Caveat } from '#macaroon'
import { badInput } from './errors.ts'

/** What a token is made for. Source of the shapes: superfly/flyctl, `tokens create`. */
export const TOKEN_PROFILES = [
  'org',
  'readonly',
  'deploy',
  'machine',
  'machine-exec',
  'ssh',
] as const
export type TokenProfile = (typeof TOKEN_PROFILES)[number]

const ALL: ActionMask = Action.read | Action.write | Action.create | Action.delete | Action.control

export interface ProfileScope {
  readonly organizationId: number
  readonly appId: number | undefined
  readonly machine: string | undefined
  readonly commands: readonly (readonly string[])[] | undefined
  /** Unix seconds, both included. */
  readonly window: { readonly notBefore: number; readonly notAfter: number } | undefined
}

/**
 * The caveats that each token of a header gets. `ssh` has two tokens: one that reads, one that may ask
 * for a certificate and a WireGuard peer.
 *
 * @throws AccountsError accounts.bad_input
 */
export function caveatsFor(profile: TokenProfile, scope: ProfileScope): readonly Caveat[][] {
  const mask = profile === 'readonly' ? Action.read : ALL
  const base: Caveat[] = [
    { type: 'Organization', body: { id: scope.organizationId, mask } },
    ...(scope.window === undefined
      ? []
      : [{ type: 'ValidityWindow', body: scope.window } satisfies Caveat]),
  ]
  switch (profile) {
    case 'org':
    case 'readonly':
      return [base]
    case 'deploy':
      return [[...base, forApp(scope)]]
    case 'machine':
      return [[...base, ...forMachine(scope)]]
    case 'machine-exec':
      return [[...base, ...onlyApp(scope), forCommands(scope)]]
    case 'ssh':
      return [
        [...base, forApp(scope), { type: 'Action', body: Action.read }],
        [
          ...base,
          forApp(scope),
          { type: 'Mutations', body: { mutations: ['issueCertificate', 'addWireGuardPeer'] } },
        ],
      ]
  }
}

/** To look at an app's secret keys and use them: the feature is what the calls for them ask for. */
export function keyUseCaveats({
  organizationId,
  appId,
  window,
}: Pick<ProfileScope, 'organizationId' | 'window'> & { readonly appId: number }): Caveat[] {
  const mask = Action.read | Action.control
  return [
    { type: 'Organization', body: { id: organizationId, mask } },
    { type: 'Apps', body: { apps: new Map([[appId, mask]]) } },
    { type: 'AppFeatureSet', body: { features: new Map([['secrets', mask]]) } },
    ...(window === undefined ? [] : [{ type: 'ValidityWindow', body: window } satisfies Caveat]),
  ]
}

/** Builders and WireGuard belong to the organisation, and a deployment needs them. */
function forApp(scope: ProfileScope): Caveat {
  const features = new Map([
    ['builder', ALL],
    ['wg', ALL],
  ])
  const ifs: Caveat[] = [...onlyApp(scope), { type: 'FeatureSet', body: { features } }]
  return { type: 'IfPresent', body: { ifs, else: Action.none } }
}

function onlyApp({ appId }: ProfileScope): Caveat[] {
  if (appId === undefined) throw missing('app')
  return [{ type: 'Apps', body: { apps: new Map([[appId, ALL]]) } }]
}

function forMachine(scope: ProfileScope): Caveat[] {
  if (scope.machine === undefined) throw missing('machine')
  const machines = new Map([[scope.machine, ALL]])
  return [...onlyApp(scope), { type: 'Machines', body: { machines } }]
}

/** Without a list: one rule without arguments, which every command begins with. */
function forCommands({ commands = [[]] }: ProfileScope): Caveat {
  const rules = commands.map((args) => ({ args, isExact: false }))
  return {
    type: 'IfPresent',
    body: { ifs: [{ type: 'Commands', body: rules }], else: Action.read },
  }
}

const missing = (what: 'app' | 'machine') =>
  badInput(`this profile is for one ${what}`, {}, `name it with --${what}`)
