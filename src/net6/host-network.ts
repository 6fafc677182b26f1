/**
 * What a host needs once, before its first machine: programs, firewall, forwarding, the platform's address.
 */

import { firewallRules } from './firewall.ts'
import { POOL } from './machine/private-ipv4.ts'
import type { DestinationRule, PlatformService } from './programs/map-layout.ts'
import {
  destinationEntry,
  flycastEntry,
  serviceEntry,
  settingsEntry,
} from './programs/map-layout.ts'
import { Programs, type ProgramsOptions } from './programs/programs.ts'
import {
  BACKHAUL_PREFIX,
  backhaulAddress,
  NETWORK_PLATFORM_ADDRESS,
  PLATFORM_ADDRESS,
} from './six-pn-address.ts'
import { ensureSshEnd, removeSshEnd } from './ssh-end/ssh-end.ts'
import type { System } from './system.ts'

/** What machines may ask of the platform's address; see docs/network.md. */
export const PLATFORM_SERVICES: readonly PlatformService[] = [
  { address: PLATFORM_ADDRESS, protocol: 'udp', port: 53 },
  { address: PLATFORM_ADDRESS, protocol: 'tcp', port: 53 },
  { address: PLATFORM_ADDRESS, protocol: 'tcp', port: 4280 },
  { address: PLATFORM_ADDRESS, protocol: 'tcp', port: 4223 },
  { address: PLATFORM_ADDRESS, protocol: 'icmp6' },
]

/**
 * Where machines may not go. IPv6 needs no list: what is not in 2000::/3 is denied (native/bpf/machine.h).
 * Source: RFC 6890 and the registry that it began.
 */
export const DENIED_DESTINATIONS: readonly DestinationRule[] = [
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.168.0.0/16',
].map((prefix) => ({ prefix, kind: 'denied' }))

export interface HostNetworkOptions extends ProgramsOptions {
  /** This host's field in 6PN addresses. */
  readonly host: number
  readonly services?: readonly PlatformService[]
  /** Beside DENIED_DESTINATIONS, and over them where they are longer. */
  readonly destinations?: readonly DestinationRule[]
}

/** Makes it, or brings it up to date; may run twice, and touches no machine's traffic. */
export async function openHostNetwork(
  options: HostNetworkOptions,
  signal?: AbortSignal,
): Promise<Programs> {
  const { system, host, services = PLATFORM_SERVICES, destinations = [] } = options
  const programs = await Programs.open(options, signal)
  await programs.set([settingsEntry(host)], signal)
  const ssh = await ensureSshEnd(system, programs, signal)
  await programs.reconcile('services', [...services.map(serviceEntry), ssh], signal)
  const rules = [...DENIED_DESTINATIONS, ...destinations].map(destinationEntry)
  for (const map of ['destinations4', 'destinations6'] as const) {
    await programs.reconcile(
      map,
      rules.filter((rule) => rule.map === map),
      signal,
    )
  }
  await system.run('sh', ['-ec', FORWARDING_SCRIPT], { signal })
  const stale = await staleBackhaul(system, host, signal)
  const lines = [...stale.map((address) => `address delete ${address} dev lo`), ...hostLines(host)]
  await system.run('ip', ['-batch', '-'], { input: `${lines.join('\n')}\n`, signal })
  await system.run('nft', ['-f', '-'], { input: firewallRules(), signal })
  return programs
}

/** Takes away what `openHostNetwork` made. Machines should be gone already. */
export async function removeHostNetwork({
  system,
  bpfFolder,
}: Pick<ProgramsOptions, 'system' | 'bpfFolder'>): Promise<void> {
  await system.run('nft', ['-f', '-'], { input: firewallRemoval() })
  await system.run('sh', ['-ec', REMOVE_SCRIPT])
  await removeSshEnd(system)
  await Programs.remove(system, bpfFolder)
}

const firewallRemoval = () => 'table inet godwit_net6\ndelete table inet godwit_net6\n'

/** Which flycast addresses the host's proxy answers at. Their network is in the address. */
export async function setFlycast(
  system: System,
  programs: Programs,
  addresses: readonly string[],
  signal?: AbortSignal,
): Promise<void> {
  const { stdout } = await system.run(
    'ip',
    ['-j', '-6', 'route', 'show', 'table', 'local', 'proto', FLYCAST_PROTOCOL],
    { signal },
  )
  const present = new Set((JSON.parse(stdout || '[]') as { dst: string }[]).map(({ dst }) => dst))
  const wanted = new Set(addresses)
  const lines = [
    ...[...wanted]
      .filter((address) => !present.has(address))
      .map((address) => `route replace local ${address} dev lo proto ${FLYCAST_PROTOCOL}`),
    ...[...present]
      .filter((address) => !wanted.has(address))
      .map((address) => `route delete local ${address} dev lo proto ${FLYCAST_PROTOCOL}`),
  ]
  if (lines.length > 0) {
    await system.run('ip', ['-batch', '-'], { input: `${lines.join('\n')}\n`, signal })
  }
  await programs.reconcile('flycast', addresses.map(flycastEntry), signal)
}

/** Marks the routes of flycast addresses, so that they are found again. */
const FLYCAST_PROTOCOL = '184'

/** Of a number that this host had before. */
async function staleBackhaul(system: System, host: number, signal?: AbortSignal) {
  const args = ['-j', '-6', 'address', 'show', 'dev', 'lo', 'to', BACKHAUL_PREFIX]
  const { stdout } = await system.run('ip', args, { signal })
  const links = JSON.parse(stdout || '[]') as {
    addr_info?: { local: string; prefixlen: number }[]
  }[]
  return links
    .flatMap(({ addr_info: addresses = [] }) => addresses)
    .filter(({ local }) => local !== undefined && local !== backhaulAddress(host))
    .map(({ local, prefixlen }) => `${local}/${prefixlen}`)
}

/** What no machine's link takes goes nowhere: never out by the default route. */
function hostLines(host: number): string[] {
  return [
    `address replace ${PLATFORM_ADDRESS}/128 dev lo nodad`,
    `address replace ${NETWORK_PLATFORM_ADDRESS}/128 dev lo nodad`,
    `address replace ${backhaulAddress(host)}/128 dev lo nodad`,
    'route replace unreachable fdaa::/16 dev lo metric 65535',
    `route replace unreachable ${POOL} metric 65535`,
    'link set lo up',
  ]
}

/** Interfaces that learn routes from advertisements go on doing so: forwarding would end it. */
const FORWARDING_SCRIPT = `
for file in /proc/sys/net/ipv6/conf/*/accept_ra; do
  [ "$(cat "$file")" != 1 ] || echo 2 >"$file"
done
sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1`

const REMOVE_SCRIPT = `
ip -6 route delete unreachable fdaa::/16 dev lo metric 65535 2>/dev/null || :
ip route delete unreachable ${POOL} metric 65535 2>/dev/null || :
ip address delete ${PLATFORM_ADDRESS}/128 dev lo 2>/dev/null || :
ip -6 -o address show dev lo to fdaa::/16 | while read -r _ _ _ address _; do
  ip address delete "$address" dev lo
done`
