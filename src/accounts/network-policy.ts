import { POLICY_PORTS_MAX, type PolicyPort } from '#net6'
import { badInput } from './errors.ts'

/** What an app's machines may be reached by, and may reach. Hosts keep to it: docs/network.md. */
export interface NetworkPolicy extends NetworkPolicyContent {
  readonly id: string
  readonly createdAtMs: number
  readonly updatedAtMs: number
}

export interface NetworkPolicyContent {
  /** Of the app, once. */
  readonly name: string
  readonly selector: NetworkPolicySelector
  /** One in a direction closes the rest of it. */
  readonly rules: readonly NetworkPolicyRule[]
}

/** All that it names must be so. `all` alone: every machine of the app. */
export interface NetworkPolicySelector {
  readonly all?: boolean
  readonly machines?: readonly { readonly id: string }[]
  readonly metadata?: Readonly<Record<string, string>>
}

export interface NetworkPolicyRule {
  readonly action: 'allow'
  readonly direction: 'ingress' | 'egress'
  /** None: the direction is closed. */
  readonly ports: readonly PolicyPort[]
}

const NAME = /^[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?$/
const RULES_MAX = 64
const MACHINES_MAX = 1_000
const METADATA_MAX = 64
const METADATA_CHARS_MAX = 4_096

/** @throws AccountsError accounts.bad_input: also for a selector that selects nothing */
export function checkNetworkPolicy({ name, selector, rules }: NetworkPolicyContent): void {
  if (!NAME.test(name)) {
    throw badInput(
      'not the name of a policy',
      { name },
      'use 1 to 63 letters, digits, _, . and -, a letter or digit at both ends',
    )
  }
  const { all = false, machines = [], metadata = {} } = selector
  const entries = Object.entries(metadata)
  if (!all && machines.length === 0 && entries.length === 0) {
    const fix = 'give it {"all": true}, machines or metadata'
    throw badInput('a selector that selects nothing', { policy: name }, fix)
  }
  atMost(MACHINES_MAX, machines.length, 'machines of a selector')
  atMost(METADATA_MAX, entries.length, 'metadata of a selector')
  atMost(RULES_MAX, rules.length, 'rules of a policy')
  for (const [key, value] of entries) atMost(METADATA_CHARS_MAX, (key + value).length, 'characters')
}

/**
 * Whether hosts can keep to all of an app's policies at once, whichever of them select a machine.
 *
 * @throws AccountsError accounts.bad_input
 */
export function checkPortsOf(policies: readonly NetworkPolicyContent[]): void {
  for (const direction of ['ingress', 'egress'] as const) {
    const rules = policies
      .flatMap(({ rules }) => rules)
      .filter((one) => one.direction === direction)
    const ports = new Set(
      rules.flatMap((rule) => rule.ports.map(({ protocol, port }) => `${protocol} ${port}`)),
    )
    atMost(POLICY_PORTS_MAX, ports.size, `${direction} ports of an app's policies`)
  }
}

export function atMost(limit: number, count: number, what: string): void {
  if (count <= limit) return
  throw badInput(`more ${what} than there may be`, { count, limit }, `leave it at ${limit}`)
}
