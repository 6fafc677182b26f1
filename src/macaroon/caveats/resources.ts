import type { Access } from '../access.ts'
import { ACTIONS_ALL, actionsFit } from '../action.ts'
import { actions, integerIds, resourceSetOf, struct, textIds, unsigned } from '../body-codec.ts'
import { encodeText, showText } from '../byte-text.ts'
import type { CaveatBodies, ResourceSet } from '../caveat.ts'
import { type Answer, kind, type Subject } from '../caveat-kind.ts'
import { badCaveat, forAction, forResource, invalidAccess, unspecified } from '../denial.ts'
import type { WireInteger } from '../wire-integer.ts'

/** The caveats that say which things a token is for, and what it may do to each. */

const organization = kind(0, 'Organization', {
  aliases: ['DeprecatedOrganization'],
  body: struct<CaveatBodies['Organization']>('Organization', [
    { key: 'id', json: 'id', codec: unsigned },
    { key: 'mask', json: 'mask', codec: actions },
  ]),
  check({ id, mask }, subject) {
    if (subject.type !== 'access') return invalidAccess()
    const { orgId, action } = subject.access
    if (orgId === undefined) return unspecified(' org')
    if (id !== 0 && id !== orgId) {
      return forResource(`org ${orgId}, only ${id}`, { resource: 'org', asked: orgId, only: [id] })
    }
    return actionsFit(action, mask) ? undefined : forAction(action, mask)
  },
})

type Matches<Id> = (listed: Id, asked: Id) => boolean

/** One row of the table: what is listed, and which field of the access is asked for it. */
interface Resource<Id extends WireInteger | string> {
  readonly name: string
  readonly wildcard: Id
  asked(access: Access): Id | undefined
  readonly matches?: Matches<Id>
}

/**
 * The order of the questions is part of the format: a wildcard beside other ids is a bad caveat
 * whatever is asked; then "not named", then "not listed", then the AND of all masks that match.
 */
function checkResourceSet<Id extends WireInteger | string>(
  set: ResourceSet<Id>,
  subject: Subject,
  { name, wildcard, asked, matches = (listed, one) => listed === one }: Resource<Id>,
): Answer {
  if (set?.has(wildcard) && set.size > 1) {
    return badCaveat(': cannot specify zero ID along with other IDs', { resource: name })
  }
  if (subject.type !== 'access') return invalidAccess()
  const id = asked(subject.access)
  if (id === undefined) return unspecified(` ${name}`, { resource: name })
  let granted = ACTIONS_ALL
  let isListed = false
  for (const [listed, mask] of set ?? []) {
    if (listed !== wildcard && !matches(listed, id)) continue
    isListed = true
    granted &= mask
  }
  if (!isListed) return notListed(name, id, [...(set?.keys() ?? [])])
  const { action } = subject.access
  return actionsFit(action, granted) ? undefined : forAction(action, granted, name)
}

function notListed(resource: string, id: WireInteger | string, listed: (WireInteger | string)[]) {
  const only = listed.map((one) => (typeof one === 'string' ? showText(one) : one))
  return forResource(`${resource} ${id} (only [${only.join(' ')}])`, { resource, asked: id, only })
}

const textSet = resourceSetOf(textIds)

function features<Type extends 'FeatureSet' | 'MachineFeatureSet' | 'AppFeatureSet'>(
  number: number,
  type: Type,
  name: string,
  asked: Resource<string>['asked'],
) {
  return kind<'FeatureSet' | 'MachineFeatureSet' | 'AppFeatureSet'>(number, type, {
    body: struct<CaveatBodies['FeatureSet']>(type, [
      { key: 'features', json: 'features', codec: textSet },
    ]),
    check: (body, subject) =>
      checkResourceSet(body.features, subject, { name, wildcard: '', asked }),
  })
}

const volumes = kind(2, 'Volumes', {
  body: struct<CaveatBodies['Volumes']>('Volumes', [
    { key: 'volumes', json: 'volumes', codec: textSet },
  ]),
  check: (body, subject) =>
    checkResourceSet(body.volumes, subject, {
      name: 'volume',
      wildcard: '',
      asked: ({ volume }) => volume,
    }),
})

const apps = kind(3, 'Apps', {
  aliases: ['DeprecatedApps'],
  body: struct<CaveatBodies['Apps']>('Apps', [
    { key: 'apps', json: 'apps', codec: resourceSetOf(integerIds) },
  ]),
  check: (body, subject) =>
    checkResourceSet<WireInteger>(body.apps, subject, {
      name: 'app',
      wildcard: 0,
      asked: ({ appId }) => appId,
    }),
})

const machines = kind(7, 'Machines', {
  body: struct<CaveatBodies['Machines']>('Machines', [
    { key: 'machines', json: 'machines', codec: textSet },
  ]),
  check: (body, subject) =>
    checkResourceSet(body.machines, subject, {
      name: 'machine',
      wildcard: '',
      asked: ({ machine }) => machine,
    }),
})

const clusters = kind(16, 'Clusters', {
  body: struct<CaveatBodies['Clusters']>('Clusters', [
    { key: 'clusters', json: 'clusters', codec: textSet },
  ]),
  check: (body, subject) =>
    checkResourceSet(body.clusters, subject, {
      name: 'cluster',
      wildcard: '',
      asked: ({ cluster }) => cluster,
    }),
})

const storageObjects = kind(29, 'StorageObjects', {
  body: struct<CaveatBodies['StorageObjects']>('StorageObjects', [
    { key: 'storageObjects', json: 'storage_objects', codec: textSet },
  ]),
  check: (body, subject) =>
    checkResourceSet(body.storageObjects, subject, {
      name: 'storage object',
      wildcard: '',
      asked: ({ storageObject }) => storageObject,
      matches: isPrefix,
    }),
})

/** By bytes, with no regard for path boundaries. A cut-off character is a prefix, too. */
function isPrefix(listed: string, asked: string): boolean {
  if (listed.isWellFormed()) return asked.startsWith(listed)
  const prefix = encodeText(listed)
  return encodeText(asked).subarray(0, prefix.length).equals(prefix)
}

export const resourceKinds = [
  organization,
  volumes,
  apps,
  features(5, 'FeatureSet', 'org feature', ({ feature }) => feature),
  machines,
  features(14, 'MachineFeatureSet', 'machine feature', ({ machineFeature }) => machineFeature),
  clusters,
  features(28, 'AppFeatureSet', 'app feature', ({ appFeature }) => appFeature),
  storageObjects,
] as const
