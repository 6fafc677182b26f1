import { POLICY_PORTS_MAX, type PolicyPort, type TrafficPolicy } from '#net6'
import { EffectError } from '../effect-error.ts'

/** Of table `network_policies`: JSON as the API took it (docs/machines-api.md). */
export interface PolicyRow {
  readonly id: string
  readonly selector: string
  readonly rules: string
}

export interface PolicedMachine {
  readonly id: string
  readonly appId: string
  /** As its configuration has it. */
  readonly metadata: Readonly<Record<string, string>>
}

interface Selector {
  readonly machines?: readonly { readonly id: string }[]
  readonly metadata?: Readonly<Record<string, string>>
}

interface Rule {
  readonly direction: 'ingress' | 'egress'
  readonly ports: readonly PolicyPort[]
}

/**
 * What an app's policies come to for one machine: in a direction that any rule of them names, the ports of all these
 * rules and no others.
 *
 * @throws EffectError effect.fatal: something that this version does not know. To leave it out would open what it closes.
 */
export function trafficPolicyOf(
  rows: readonly PolicyRow[],
  machine: PolicedMachine,
): TrafficPolicy {
  const rules = rows
    .filter((row) => isSelected(read<Selector>(row, 'selector'), machine))
    .flatMap((row) => read<readonly Rule[]>(row, 'rules').map((rule) => checked(rule, row)))
  return { ...portsOf(rules, 'ingress'), ...portsOf(rules, 'egress') }
}

/** What a selector names must all be so. */
function isSelected({ machines, metadata = {} }: Selector, machine: PolicedMachine): boolean {
  if (machines !== undefined && !machines.some(({ id }) => id === machine.id)) return false
  return Object.entries(metadata).every(([key, value]) => machine.metadata[key] === value)
}

function portsOf(rules: readonly Rule[], direction: Rule['direction']): TrafficPolicy {
  const own = rules.filter((rule) => rule.direction === direction)
  if (own.length === 0) return {}
  const ports = new Map<string, PolicyPort>()
  for (const { protocol, port } of own.flatMap((rule) => rule.ports)) {
    ports.set(`${protocol} ${port}`, { protocol, port })
  }
  if (ports.size > POLICY_PORTS_MAX) {
    throw unknown('more ports than a machine may have', { direction, ports: ports.size })
  }
  return { [direction]: [...ports.values()] }
}

function checked(rule: Rule, { id }: PolicyRow): Rule {
  const isDirection = rule?.direction === 'ingress' || rule?.direction === 'egress'
  const isPort = ({ protocol, port }: PolicyPort) =>
    (protocol === 'tcp' || protocol === 'udp') && Number.isInteger(port) && port > 0 && port < 65536
  if (isDirection && Array.isArray(rule.ports) && rule.ports.every(isPort)) return rule
  throw unknown('a rule that this version does not know', { policy: id })
}

function read<T>(row: PolicyRow, column: 'selector' | 'rules'): T {
  try {
    const value: unknown = JSON.parse(row[column])
    if (Array.isArray(value) === (column === 'rules') && value !== null) return value as T
  } catch (cause) {
    throw unknown('a policy that is no JSON', { policy: row.id, column }, cause)
  }
  throw unknown('a policy that this version does not know', { policy: row.id, column })
}

const unknown = (what: string, values: Record<string, unknown>, cause?: unknown) =>
  new EffectError('effect.fatal', {
    what: `the app's network policies have ${what}`,
    values,
    fix: 'bring this host to the version of the gateways, or delete the policy',
    cause,
  })
