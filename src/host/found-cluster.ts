import { nkeys } from '@nats-io/transport-node'
import { stringify } from 'smol-toml'
import { type Random, systemRandom } from '#base'
import {
  type CertificateAuthority,
  generateClientCertificate,
  generateClusterCa,
  generateJoiningCa,
  generateServerCertificate,
  mayMakeAuthorities,
} from '#corrosion'
import { newKeyLine } from '#seal'
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
  readonly ca: CertificateAuthority
  /** Of each host: the files of its folder of secrets, by name. */
  readonly secrets: ReadonlyMap<string, Readonly<Record<string, string>>>
}

export interface FoundOptions {
  readonly hosts: readonly PlannedHost[]
  /** Hosts of it keep their secrets. */
  readonly standing?: StandingCluster | undefined
  readonly random?: Random
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
}: FoundOptions): Promise<{ ca: CertificateAuthority; hosts: FoundedHost[] }> {
  const ca = standing?.ca ?? (await generateClusterCa())
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
        ...(secrets ?? (await certificatesOf(planned, ca))),
        'cluster.key': clusterKey,
        'edge-keys': edgeKeys,
        'nats.seed': flyd.seed,
        ...(gateway === undefined ? {} : { 'gateway.seed': gateway.seed }),
        ...(gateway === undefined ? {} : await joiningOf(secrets, ca)),
      },
    })
  }
  return { ca, hosts: founded }
}

/** By which a gateway signs for hosts that join. None where the cluster's authority was made without that in mind. */
async function joiningOf(
  secrets: Readonly<Record<string, string>> | undefined,
  ca: CertificateAuthority,
): Promise<Record<string, string>> {
  const hasOne = secrets?.['joining.key'] !== undefined
  if (hasOne || !mayMakeAuthorities(ca.certificatePem)) return {}
  const { certificatePem, privateKeyPem } = await generateJoiningCa(ca)
  return { 'joining.pem': certificatePem, 'joining.key': privateKeyPem }
}

async function certificatesOf({ address, names = [] }: PlannedHost, ca: CertificateAuthority) {
  const server = await generateServerCertificate(ca, { names: [address, ...names] })
  const client = await generateClientCertificate(ca)
  return {
    'ca.pem': ca.certificatePem,
    'server.pem': server.certificatePem,
    'server.key': server.privateKeyPem,
    'client.pem': client.certificatePem,
    'client.key': client.privateKeyPem,
  }
}

/** @param seed absent: of a new pair */
function keyPairOf(seed: string | undefined): { public: string; seed: string } {
  const pair =
    seed === undefined ? nkeys.createUser() : nkeys.fromSeed(new TextEncoder().encode(seed.trim()))
  return { public: pair.getPublicKey(), seed: new TextDecoder().decode(pair.getSeed()) }
}
