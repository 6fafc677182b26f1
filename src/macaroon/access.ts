import { type ActionMask, parseActions } from './action.ts'
import { type Denial, exclusive, invalidAccess, unspecified } from './denial.ts'
import { MacaroonError } from './errors.ts'
import { type ExactJson, parseExactJson } from './exact-json.ts'
import { isIntegerWithin, UINT64_MAX, type WireInteger } from './wire-integer.ts'

/**
 * What somebody wants to do: one action on one object. An absent field is "not named"; id 0 or ''
 * is "not known yet" (it is being created), which only a wildcard grants.
 */
export interface Access {
  /** Every bit must be granted. 0 asks for nothing and passes every mask. */
  readonly action: ActionMask
  readonly orgId?: WireInteger
  readonly appId?: WireInteger
  readonly appFeature?: string
  /** Of the organisation: `wg`, `billing`, ... */
  readonly feature?: string
  readonly volume?: string
  readonly machine?: string
  readonly machineFeature?: string
  /** Name of a GraphQL mutation. */
  readonly mutation?: string
  readonly sourceMachine?: string
  readonly sourceApp?: string
  readonly sourceOrganization?: string
  readonly cluster?: string
  /** To run in a machine; present and empty is a command, too. */
  readonly command?: readonly string[]
  readonly storageObject?: string
}

export const CLUSTER_FEATURE = 'litefs-cloud'

/**
 * Whether the access is one action on one object, before any caveat is asked. The order of the
 * questions is part of the format: clients see the first answer.
 */
export function checkAccessShape(access: Access): Denial | undefined {
  if (access.orgId === undefined) return unspecified(' org')
  const ofOrg = namesOf(
    [access.appId, 'app'],
    [access.feature, access.feature],
    [access.storageObject, 'storage-object'],
  )
  if (ofOrg.length > 1) return exclusive(ofOrg)
  return checkAppShape(access) ?? checkClusterShape(access) ?? checkMachineShape(access)
}

function checkAppShape(access: Access): Denial | undefined {
  const ofApp = namesOf(
    [access.machine, 'machine'],
    [access.volume, 'volume'],
    [access.appFeature, access.appFeature],
  )
  if (ofApp.length > 0 && access.appId === undefined) {
    return unspecified(' app if app-owned resource is specified', { named: ofApp })
  }
  return ofApp.length > 1 ? exclusive(ofApp) : undefined
}

function checkClusterShape({ cluster, feature }: Access): Denial | undefined {
  if (cluster === undefined || feature === CLUSTER_FEATURE) return undefined
  return feature === undefined
    ? unspecified(` ${CLUSTER_FEATURE} feature if clusters are specified`, { cluster })
    : invalidAccess(`: clusters require the ${CLUSTER_FEATURE} feature`, { cluster, feature })
}

function checkMachineShape(access: Access): Denial | undefined {
  const ofMachine = namesOf(
    [access.command, 'command-execution'],
    [access.machineFeature, access.machineFeature],
  )
  if (ofMachine.length > 0 && access.machine === undefined) {
    return unspecified(' machine ', { named: ofMachine }) // the blank is in the original's text
  }
  return ofMachine.length > 1 ? exclusive(ofMachine) : undefined
}

function namesOf(...candidates: (readonly [unknown, string | undefined])[]): string[] {
  return candidates.flatMap(([value, name = '']) => (value === undefined ? [] : [name]))
}

/** Wire names of the fields; the JSON form of the original library. */
const idFields = { orgid: 'orgId', appid: 'appId' } as const
const textFields = {
  app_feature: 'appFeature',
  feature: 'feature',
  volume: 'volume',
  machine: 'machine',
  machine_feature: 'machineFeature',
  mutation: 'mutation',
  sourceMachine: 'sourceMachine',
  sourceApp: 'sourceApp',
  sourceOrganization: 'sourceOrganization',
  cluster: 'cluster',
  storage_object: 'storageObject',
} as const

/**
 * Reads `{"action":"rw","orgid":123,...}`. Null is absent.
 *
 * @throws MacaroonError macaroon.bad_access: no object, an unknown field, or a field of another type.
 */
export function parseAccess(json: string | ExactJson): Access {
  const value = typeof json === 'string' ? parseExactJson(json, 'macaroon.bad_access') : json
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw badAccess('an access is a JSON object', {})
  }
  const access: Record<string, unknown> = { action: 0 }
  for (const [field, given] of Object.entries(value)) {
    if (given !== null) readField(access, field, given)
  }
  return access as unknown as Access
}

function readField(access: Record<string, unknown>, field: string, given: unknown): void {
  if (field === 'action' && typeof given === 'string') access['action'] = parseActions(given)
  else if (field === 'command' && isTextList(given)) access['command'] = given
  else if (isField(idFields, field) && isIntegerWithin(given, 0, UINT64_MAX)) {
    access[idFields[field]] = given
  } else if (isField(textFields, field) && typeof given === 'string') {
    access[textFields[field]] = given
  } else {
    const isKnown = /^(action|command)$/.test(field) || field in idFields || field in textFields
    const what = isKnown ? 'a field of the access has the wrong type' : 'no such field of an access'
    throw badAccess(what, { field })
  }
}

const isField = <T extends object>(fields: T, name: string): name is keyof T & string =>
  Object.hasOwn(fields, name)

const isTextList = (value: unknown) =>
  Array.isArray(value) && value.every((one) => typeof one === 'string')

function badAccess(what: string, values: Record<string, unknown>): MacaroonError {
  const known = ['action', 'command', ...Object.keys(idFields), ...Object.keys(textFields)]
  return new MacaroonError('macaroon.bad_access', {
    what,
    values,
    fix: `fields are ${known.join(', ')}; ids are integers, command is a list of text`,
  })
}
