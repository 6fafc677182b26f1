import type { MachineRow } from '../directory/rows.ts'
import { ipv6Bytes } from '../directory/six-pn.ts'
import { txtData } from '../wire/record-data.ts'
import type { Found } from './found.ts'
import { type AppScope, isDeployed, isStarted, selectMachines } from './machine-selection.ts'
import { findServiceName, isServiceName } from './service-names.ts'

/** Names above the forms, which exist and have nothing (RFC 8020). */
const BARE = new Set(['vm', 'process', 'of', 'nearest.of', '_metadata', 'kv._metadata'])

/** `<prefix>.<app>.internal`; undefined when there is no such name. `prefix` is in lower case. */
export function findAppName(scope: AppScope, prefix: readonly string[]): Found | undefined {
  if (isServiceName(prefix)) return findServiceName(scope, prefix)
  const form = prefix.join('.')
  if (form === 'all') return { why: 'stands above all.vms and all.regions' }
  if (BARE.has(form)) return { why: 'stands above other names and has no records itself' }
  const listed = findList(scope, form)
  if (listed !== undefined) return listed
  const selected = selectMachines(scope, prefix)
  return (
    selected && {
      aaaa: selected.machines.map(({ privateIp }) => ipv6Bytes(privateIp)),
      why: selected.why,
    }
  )
}

function findList({ directory, caller, app }: AppScope, form: string): Found | undefined {
  const machines = () => directory.machines(caller, app)
  switch (form) {
    case 'vms':
      return list(vms(machines().filter(isStarted)), 'started machines of the app')
    case 'all.vms':
      return list(vms(machines().filter(isDeployed)), 'deployed machines of the app')
    case 'regions':
      return list(regions(machines().filter(isStarted)), 'regions with started machines')
    case 'all.regions':
      return list(regions(machines().filter(isDeployed)), 'regions with deployed machines')
    default:
      return undefined
  }
}

/** An empty list is no record at all: clients choke on an empty element. */
export const list = (elements: readonly string[], why: string, separator = ','): Found =>
  elements.length === 0 ? { why } : { txt: txtData(elements, separator), why }

const vms = (machines: readonly MachineRow[]): string[] =>
  machines.map(({ id, region }) => `${id} ${region}`)

const regions = (machines: readonly MachineRow[]): string[] =>
  [...new Set(machines.map(({ region }) => region))].sort()
