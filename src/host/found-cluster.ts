import { nkeys } from '@nats-io/transport-node'
import { stringify } from 'smol-toml'
import { type Clock, type Random, systemClock, systemRandom } from '#base'
import { newKeyLine } from '#seal'
import {
  type CertificateAuthority,
  generateClientCertificate,
  generateClusterCa,
  generateJoiningCa,
  generateServerCertificate,
  LEAF_DAYS,
  mayMakeAuthorities,
  namesIn,
  renewCertificate,
  rootOf,
} from '#trust'
import type { HostConfig, HostRole } from './host-config.ts'

export interface PlannedHost {
  readonly host: string
  readonly region: HostConfig['region']
  /** On the backhaul. */
  readonly address: string
  readonly roles: readonly HostRole[]
  /** Names and addresses besides its own under which its API is asked, for its certificate. */
  readonly names?: readonly string[]
  /** What else its file says: folders, capacity. */
  readonly settings?: Partial<Pick<HostConfig, (typeof SETTINGS)[number]>>
}

/** What a cluster has already, when hosts are added to it. */
export interface StandingCluster {
  /** The one that signs. */
  readonly ca: CertificateAuthority
  /** All that hosts are to trust. @default the one that signs */
  readonly trusted?: string
  /** Of each host: the files of its folder of secrets, by name. */
  readonly secrets: ReadonlyMap<string, Readonly<Record<string, string>>>
}

export interface FoundOptions {
  readonly hosts: readonly PlannedHost[]
  /** Hosts of it keep their secrets. */
  readonly standing?: StandingCluster | undefined
  readonly random?: Random
  readonly clock?: Clock
}

export interface FoundedHost {
  readonly host: string
  /** TOML, for `godwit host run`. */
  readonly config: string
  /** Files of its folder of secrets, by name. */
  readonly secrets: Readonly<Record<string, string>>
}

const SETTINGS = ['folder', 'run_folder', 'secrets', 'worker', 'gateway', 'edge', 'nats'] as const
const CLUSTER_KEY_BYTES = 32
const LASTS_MS = 182 * 86_400_000

/**
 * Everything that the hosts of a cluster need to know of each other: certificates of a CA of its own, keys,
 * and a file for each. Writes nothing.
 *
 * @returns the CA too; its key signs for hosts that come later, and belongs on none of them.
 */
export async function foundCluster({
  hosts,
  standing,
  random = systemRandom,
  clock = systemClock,
}: FoundOptions): Promise<{ ca: CertificateAuthority; hosts: FoundedHost[] }> {
  const ca = standing?.ca ?? (await generateClusterCa())
  const trusted = standing?.trusted ?? ca.certificatePem
  const nowMs = clock.nowMs()
  const [known] = standing?.secrets.values() ?? []
  const clusterKey =
    known?.['cluster.key'] ?? Buffer.from(random.bytes(CLUSTER_KEY_BYTES)).toString('hex')
  const edgeKeys = known?.['edge-keys'] ?? newKeyLine('first', random)
  const keyed = hosts.map((planned) => {
    const secrets = standing?.secrets.get(planned.host)
    const isGateway = planned.roles.includes('gateway')
    return {
      planned,
      secrets,
      flyd: keyPairOf(secrets?.['nats.seed']),
      gateway: isGateway ? keyPairOf(secrets?.['gateway.seed']) : undefined,
    }
  })
  const members = keyed.map(({ planned: { host, region, address, roles }, flyd, gateway }) => ({
    ...{ host, region: region.code, address, roles },
    nkey: flyd.public,
    ...(gateway === undefined ? {} : { gateway_nkey: gateway.public }),
  }))
  const founded: FoundedHost[] = []
  for (const { planned, secrets, flyd, gateway } of keyed) {
    founded.push({
      host: planned.host,
      config: stringify({
        host: planned.host,
        ...planned.settings,
        region: planned.region,
        members,
      }),
      secrets: {
        ...(await certificatesOf(planned, { ca, secrets, nowMs })),
        'ca.pem': trusted,
        'cluster.key': clusterKey,
        'edge-keys': edgeKeys,
        'nats.seed': flyd.seed,
        ...(gateway === undefined ? {} : { 'gateway.seed': gateway.seed }),
        ...(gateway === undefined ? {} : await joiningOf(secrets, ca, nowMs)),
      },
    })
  }
  return { ca, hosts: founded }
}

/**
 * By which a gateway signs for hosts; another when what it has ends within half a year, or is of another authority. None where
 * the cluster's authority was made without that in mind.
 */
async function joiningOf(
  secrets: Readonly<Record<string, string>> | undefined,
  ca: CertificateAuthority,
  nowMs: number,
): Promise<Record<string, string>> {
  const { 'joining.pem': present, 'joining.key': key } = secrets ?? {}
  const lasts = key !== undefined && holdsUntil(present, ca, nowMs + LASTS_MS)
  if (lasts || !mayMakeAuthorities(ca.certificatePem)) return {}
  const { certificatePem, privateKeyPem } = await generateJoiningCa(ca)
  return { 'joining.pem': certificatePem, 'joining.key': privateKeyPem }
}

/**
 * What the host has, and new certificates of its keys when they end within half a year, are of another authority or lack a
 * name.
 */
async function certificatesOf(
  { address, names = [] }: PlannedHost,
  {
    ca,
    secrets,
    nowMs,
  }: {
    readonly ca: CertificateAuthority
    readonly secrets: Readonly<Record<string, string>> | undefined
    readonly nowMs: number
  },
): Promise<Readonly<Record<string, string>>> {
  const { 'server.pem': serverPem, 'client.pem': clientPem } = secrets ?? {}
  if (secrets === undefined || serverPem === undefined || clientPem === undefined) {
    const server = await generateServerCertificate(ca, { names: [address, ...names] })
    const client = await generateClientCertificate(ca)
    return {
      ...secrets,
      'server.pem': server.certificatePem,
      'server.key': server.privateKeyPem,
      'client.pem': client.certificatePem,
      'client.key': client.privateKeyPem,
    }
  }
  const wanted = [address, ...names]
  const hasNames = namesIn(serverPem).join() === wanted.join()
  const lasts = [serverPem, clientPem].every((pem) => holdsUntil(pem, ca, nowMs + LASTS_MS))
  if (lasts && hasNames) return secrets
  return {
    ...secrets,
    'server.pem': await renewCertificate(ca, serverPem, { names: wanted, days: LEAF_DAYS }),
    'client.pem': await renewCertificate(ca, clientPem, { days: LEAF_DAYS }),
  }
}

const holdsUntil = (pem: string | undefined, ca: CertificateAuthority, atMs: number): boolean =>
  pem !== undefined && rootOf(pem, ca.certificatePem, atMs) !== undefined

/** @param seed absent: of a new pair */
function keyPairOf(seed: string | undefined): { public: string; seed: string } {
  const pair =
    seed === undefined ? nkeys.createUser() : nkeys.fromSeed(new TextEncoder().encode(seed.trim()))
  return { public: pair.getPublicKey(), seed: new TextDecoder().decode(pair.getSeed()) }
}
