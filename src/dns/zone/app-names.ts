import type { Caller, Directory } from '../directory/directory.ts'
import { byNearness, type Place } from '../directory/nearness.ts'
import type { AppRow, MachineRow } from '../directory/rows.ts'
import { ipv6Bytes } from '../directory/six-pn.ts'
import { txtData } from '../wire/record-data.ts'
import type { Found } from './found.ts'

const STARTED = 'started'
/** States in which a machine is no longer deployed. */
const GONE = new Set(['destroyed', 'destroying', 'replaced', 'replacing'])
/** Names above the forms, which exist and have nothing (RFC 8020). */
const BARE = new Set(['vm', 'process', 'of', 'nearest.of', '_metadata', 'kv._metadata'])

export const isStarted = ({ state }: MachineRow): boolean => state === STARTED
export const isDeployed = ({ state }: MachineRow): boolean => !GONE.has(state)

export interface AppScope {
  readonly directory: Directory
  readonly place: Place
  readonly caller: Caller
  readonly app: AppRow
}

/** `<prefix>.<app>.internal`; undefined when there is no such name. `prefix` is in lower case. */
export function findAppName(scope: AppScope, prefix: readonly string[]): Found | undefined {
  const machines = scope.directory.machines(scope.caller, scope.app)
  const started = machines.filter(isStarted)
  const deployed = machines.filter(isDeployed)
  const form = prefix.join('.')
  if (form === '' || form === 'global') return addresses(started, 'started machines of the app')
  if (form === 'vms') return list(vms(started), 'started machines of the app')
  if (form === 'all.vms') return list(vms(deployed), 'deployed machines of the app')
  if (form === 'regions') return list(regions(started), 'regions with started machines')
  if (form === 'all.regions') return list(regions(deployed), 'regions with deployed machines')
  if (form === 'all') return { why: 'stands above all.vms and all.regions' }
  if (BARE.has(form)) return { why: 'stands above other names and has no records itself' }
  return findSelected(scope, prefix, machines)
}

function findSelected(
  scope: AppScope,
  prefix: readonly string[],
  machines: readonly MachineRow[],
): Found | undefined {
  const started = machines.filter(isStarted)
  const [first = '', second, third, fourth] = prefix
  const nearest = /^top(\d{1,4})$/.exec(first)
  if (nearest !== null && prefix.length === 3 && second === 'nearest' && third === 'of') {
    const sorted = byNearness(scope.directory, scope.place, started)
    return addresses(
      sorted.slice(0, Number(nearest[1])),
      `the nearest started machines, nearest first`,
    )
  }
  if (prefix.length === 2 && second === 'vm') {
    return select(machines, ({ id }) => id === first, 'the machine of that id')
  }
  if (prefix.length === 2 && second === 'process') {
    const isIn = ({ processGroup }: MachineRow) => processGroup.toLowerCase() === first
    return select(machines, isIn, 'started machines of the process group')
  }
  if (third === 'kv' && fourth === '_metadata' && prefix.length === 4) {
    return select(
      machines,
      (row) => hasMetadata(row, second ?? '', first),
      'started machines with the metadata',
    )
  }
  if (prefix.length !== 1) return undefined
  const isKnown = scope.directory.region(first) !== undefined
  const inRegion = select(
    machines,
    ({ region }) => region === first,
    'started machines in the region',
  )
  return inRegion ?? (isKnown ? addresses([], 'started machines in the region') : undefined)
}

/** No such name when no deployed machine fits; a name without records when none of those is started. */
function select(
  machines: readonly MachineRow[],
  fits: (row: MachineRow) => boolean,
  why: string,
): Found | undefined {
  const fitting = machines.filter((row) => isDeployed(row) && fits(row))
  return fitting.length === 0 ? undefined : addresses(fitting.filter(isStarted), why)
}

/** Names have no upper case to speak of: keys and values are compared without it. */
function hasMetadata({ metadata }: MachineRow, key: string, value: string): boolean {
  return Object.entries(metadata).some(
    ([name, held]) => name.toLowerCase() === key && held.toLowerCase() === value,
  )
}

const addresses = (machines: readonly MachineRow[], why: string): Found => ({
  aaaa: machines.map(({ privateIp }) => ipv6Bytes(privateIp)),
  why,
})

/** An empty list is no record at all: clients choke on an empty element. */
export const list = (elements: readonly string[], why: string, separator = ','): Found =>
  elements.length === 0 ? { why } : { txt: txtData(elements, separator), why }

const vms = (machines: readonly MachineRow[]): string[] =>
  machines.map(({ id, region }) => `${id} ${region}`)

const regions = (machines: readonly MachineRow[]): string[] =>
  [...new Set(machines.map(({ region }) => region))].sort()
