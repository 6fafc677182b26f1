import type { ActionMask } from './action.ts'
import type { WireInteger } from './wire-integer.ts'

/** Rights by id; null is Go's nil map, which acts as empty but has bytes of its own. */
export type ResourceSet<Id extends WireInteger | string> = ReadonlyMap<Id, ActionMask> | null

/** A command that may run: its arguments begin with `args`, or are `args` when `isExact`. */
export interface CommandRule {
  readonly args: readonly string[] | null
  readonly isExact: boolean
}

/** The body of every caveat that this version knows, by its JSON name. */
export interface CaveatBodies {
  /** Everything happens within this organisation; 0 is any. */
  Organization: { readonly id: WireInteger; readonly mask: ActionMask }
  Volumes: { readonly volumes: ResourceSet<string> }
  Apps: { readonly apps: ResourceSet<WireInteger> }
  /** Unix seconds, both ends included. */
  ValidityWindow: { readonly notBefore: WireInteger; readonly notAfter: WireInteger }
  FeatureSet: { readonly features: ResourceSet<string> }
  Mutations: { readonly mutations: readonly string[] | null }
  Machines: { readonly machines: ResourceSet<string> }
  ConfineUser: { readonly id: WireInteger }
  ConfineOrganization: { readonly id: WireInteger }
  /** Says who made the token; restricts nothing. */
  IsUser: { readonly id: WireInteger }
  /** Somebody else must vouch: a discharge for `ticket` is needed. */
  '3P': {
    readonly location: string
    /** The discharge key, sealed under the tail before this caveat. Null before it was added. */
    readonly verifierKey: Uint8Array | null
    /** What the third party opens. */
    readonly ticket: Uint8Array | null
  }
  /** In a discharge: the first bytes of a digest of the parent token's tail. */
  BindToParentToken: Uint8Array | null
  /** `ifs` decide when the access names what they speak of, else the mask. Null is refused. */
  IfPresent: { readonly ifs: readonly Caveat[] | null; readonly else: ActionMask }
  MachineFeatureSet: { readonly features: ResourceSet<string> }
  FromMachineSource: { readonly id: string }
  Clusters: { readonly clusters: ResourceSet<string> }
  ConfineGoogleHD: string
  ConfineGitHubOrg: WireInteger
  /** Seconds. */
  MaxValidity: WireInteger
  IsMember: Readonly<Record<string, never>>
  FlyioUserID: WireInteger
  GitHubUserID: WireInteger
  /** Of any size. */
  GoogleUserID: WireInteger
  Action: ActionMask
  Commands: readonly CommandRule[] | null
  AppFeatureSet: { readonly features: ResourceSet<string> }
  /** By prefix of the object's URL. */
  StorageObjects: { readonly storageObjects: ResourceSet<string> }
  /** Bits of roles.ts. */
  AllowedRoles: number
  /** Empty fields do not restrict. */
  FlySrc: { readonly organization: string; readonly app: string; readonly instance: string }
}

export type CaveatType = keyof CaveatBodies

/** A caveat with its body, in the shape of its JSON form: `{ type: 'Action', body: 1 }`. */
export type KnownCaveat = {
  [Type in CaveatType]: { readonly type: Type; readonly body: CaveatBodies[Type] }
}[CaveatType]

/** A caveat of a number that we do not know. Its bytes are kept; it denies every access. */
export interface UnknownCaveat {
  readonly type: 'unknown'
  readonly number: WireInteger
  /** MessagePack as it came. */
  readonly body: Uint8Array
}

export type Caveat = KnownCaveat | UnknownCaveat

/** The caveats of one type, in order; those inside IfPresent only when `nested`. */
export function caveatsOf<Type extends CaveatType>(
  caveats: readonly Caveat[],
  type: Type,
  options: { nested?: boolean } = {},
): CaveatBodies[Type][] {
  const found: CaveatBodies[Type][] = []
  for (const caveat of caveats) {
    if (caveat.type === type) found.push(caveat.body as CaveatBodies[Type])
    else if (caveat.type === 'IfPresent' && options.nested) {
      found.push(...caveatsOf(caveat.body.ifs ?? [], type, options))
    }
  }
  return found
}
