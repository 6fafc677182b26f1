import { struct, text } from '../body-codec.ts'
import type { CaveatBodies } from '../caveat.ts'
import { kind } from '../caveat-kind.ts'
import { invalidAccess, unauthorizedSource } from '../denial.ts'

/** The caveats that say where a request must come from. A missing source never counts as absent. */

const fromMachineSource = kind(15, 'FromMachineSource', {
  body: struct<CaveatBodies['FromMachineSource']>('FromMachineSource', [
    { key: 'id', json: 'id', codec: text },
  ]),
  check({ id }, subject) {
    if (subject.type !== 'access') return invalidAccess()
    const denial = checkSource('machine', id, subject.access.sourceMachine, 'SourceMachine')
    if (denial?.kind !== 'unauthorized') return denial
    return { ...denial, message: `unauthorized: ${denial.message}` } // twice, as in the original
  },
})

const flySrc = kind(31, 'FlySrc', {
  body: struct<CaveatBodies['FlySrc']>('FlySrc', [
    { key: 'organization', json: 'organization', codec: text },
    { key: 'app', json: 'app', codec: text },
    { key: 'instance', json: 'instance', codec: text },
  ]),
  check({ instance, app, organization }, subject) {
    if (subject.type !== 'access') return invalidAccess()
    const { sourceMachine, sourceApp, sourceOrganization } = subject.access
    // biome-ignore format: a table; the order is part of the format
    const questions = [
      ['machine',      instance,     sourceMachine,      'SourceMachine'],
      ['app',          app,          sourceApp,          'SourceApp'],
      ['organization', organization, sourceOrganization, 'SourceOrganization'],
    ] as const
    for (const [what, wanted, got, field] of questions) {
      const answer = wanted === '' ? undefined : checkSource(what, wanted, got, field)
      if (answer !== undefined) return answer
    }
    return undefined
  },
})

function checkSource(what: string, wanted: string, got: string | undefined, field: string) {
  if (got === undefined) return invalidAccess(` missing ${field}`, { wanted })
  if (got === wanted) return undefined
  return unauthorizedSource(`expected from ${what} ${wanted}, but got ${got}`, {
    wanted,
    got,
  })
}

export const sourceKinds = [fromMachineSource, flySrc] as const
