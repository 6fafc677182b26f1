import type { MachineRow, ServiceRow } from '../directory/rows.ts'
import { ipv6Bytes } from '../directory/six-pn.ts'
import { isEncodable } from '../wire/names.ts'
import type { Found, ServiceTarget } from './found.ts'
import { type AppScope, isDeployed, selectMachines } from './machine-selection.ts'

const PROTOCOLS = new Set(['_tcp', '_udp'])
const HTTP = '_http'
/** All alike: the client takes any. */
const PRIORITY = 1

/** `_<service>._tcp` or `_udp` before a name of machines, or that protocol's label alone (RFC 2782). */
export const isServiceName = ([first = '', second = '']: readonly string[]): boolean =>
  PROTOCOLS.has(first) || (first.startsWith('_') && PROTOCOLS.has(second))

/**
 * Where a service of the app listens on its machines: `_http`, what the proxy speaks HTTP with, or `_<port>`, what it
 * serves at that port. Of the machines that the rest of the name selects those that the proxy would choose: not
 * cordoned, all of their services' checks passing. The port is the machine's own.
 */
export function findServiceName(scope: AppScope, prefix: readonly string[]): Found | undefined {
  const { directory, caller, app } = scope
  const [first = '', second = ''] = prefix
  const isBare = PROTOCOLS.has(first)
  const selected = selectMachines(scope, prefix.slice(isBare ? 1 : 2))
  if (selected === undefined) return undefined
  if (isBare) return { why: 'stands above names of services' }
  const portsOf = ({ id }: MachineRow) => [
    ...new Set(
      [...directory.services(id)]
        .filter((row) => `_${row.protocol}` === second && isNamed(row, first))
        .map(({ internalPort }) => internalPort)
        .sort((a, b) => a - b),
    ),
  ]
  const deployed = directory.machines(caller, app).filter(isDeployed)
  if (!deployed.some((row) => portsOf(row).length > 0)) return undefined
  const targets: ServiceTarget[] = []
  for (const row of selected.machines) {
    const target = [row.id, 'vm', app.name.toLowerCase(), 'internal']
    if (row.isCordoned || !directory.isPassing(row.id) || !isEncodable(target)) continue
    const priority = selected.isByNearness ? targets.length + PRIORITY : PRIORITY
    for (const port of portsOf(row)) {
      targets.push({ priority, port, target, address: ipv6Bytes(row.privateIp) })
    }
  }
  return { services: targets, why: `${selected.why} that pass their checks` }
}

function isNamed({ ports, internalPort }: ServiceRow, label: string): boolean {
  const isPort = Number.isInteger(internalPort) && internalPort > 0 && internalPort < 65_536
  if (!isPort) return false // another host wrote it
  if (label === HTTP) return ports.some(({ handlers }) => handlers.includes('http'))
  if (!/^_[1-9]\d{0,4}$/.test(label)) return false
  const asked = Number(label.slice(1))
  if (ports.length === 0) return internalPort === asked
  return ports.some(({ first, last }) => first <= asked && asked <= last)
}
