import type { Caller, Directory } from '../directory/directory.ts'
import { byNearness, type Place } from '../directory/nearness.ts'
import type { AppRow, MachineRow } from '../directory/rows.ts'

const STARTED = 'started'
/** States in which a machine is no longer deployed. */
const GONE = new Set(['destroyed', 'destroying', 'replaced', 'replacing'])

export const isStarted = ({ state }: MachineRow): boolean => state === STARTED
export const isDeployed = ({ state }: MachineRow): boolean => !GONE.has(state)

export interface AppScope {
  readonly directory: Directory
  readonly place: Place
  readonly caller: Caller
  readonly app: AppRow
}

/** Started machines of an app, as the labels before its name choose them. */
export interface Selection {
  readonly machines: readonly MachineRow[]
  /** The nearest is the first. Otherwise they stand by id. */
  readonly isByNearness?: boolean
  /** For people: which rule of docs/dns.md chose them. */
  readonly why: string
}

/** The machines that `<prefix>.<app>.internal` has addresses of; undefined when it is no such name. */
export function selectMachines(scope: AppScope, prefix: readonly string[]): Selection | undefined {
  const { directory, place, caller, app } = scope
  const machines = directory.machines(caller, app)
  const [first = '', second, third, fourth] = prefix
  if (prefix.length === 0 || (prefix.length === 1 && first === 'global')) {
    return { machines: machines.filter(isStarted), why: 'started machines of the app' }
  }
  const nearest = /^top(\d{1,4})$/.exec(first)
  if (nearest !== null && prefix.length === 3 && second === 'nearest' && third === 'of') {
    const sorted = byNearness(directory, place, machines.filter(isStarted))
    const why = 'the nearest started machines, nearest first'
    return { machines: sorted.slice(0, Number(nearest[1])), isByNearness: true, why }
  }
  if (prefix.length === 2 && second === 'vm') {
    return fitting(machines, ({ id }) => id === first, 'the machine of that id')
  }
  if (prefix.length === 2 && second === 'process') {
    const isIn = ({ processGroup }: MachineRow) => processGroup.toLowerCase() === first
    return fitting(machines, isIn, 'started machines of the process group')
  }
  if (third === 'kv' && fourth === '_metadata' && prefix.length === 4) {
    const has = (row: MachineRow) => hasMetadata(row, second ?? '', first)
    return fitting(machines, has, 'started machines with the metadata')
  }
  if (prefix.length !== 1) return undefined
  const why = 'started machines in the region'
  const isKnown = directory.region(first) !== undefined
  return (
    fitting(machines, ({ region }) => region === first, why) ??
    (isKnown ? { machines: [], why } : undefined)
  )
}

/** No such name when no deployed machine fits; a name without records when none of those is started. */
function fitting(
  machines: readonly MachineRow[],
  fits: (row: MachineRow) => boolean,
  why: string,
): Selection | undefined {
  const found = machines.filter((row) => isDeployed(row) && fits(row))
  return found.length === 0 ? undefined : { machines: found.filter(isStarted), why }
}

/** Names have no upper case to speak of: keys and values are compared without it. */
function hasMetadata({ metadata }: MachineRow, key: string, value: string): boolean {
  return Object.entries(metadata).some(
    ([name, held]) => name.toLowerCase() === key && held.toLowerCase() === value,
  )
}
