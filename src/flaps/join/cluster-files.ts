import { createPrivateKey, X509Certificate } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { type CertificateAuthority, rootOf } from '#trust'
import { refuseWithFix } from '../errors.ts'
import type { FlapsConfig } from '../flaps-config.ts'

/** What a gateway tells hosts of the cluster, and signs for them with. */
export interface ClusterFiles {
  /** PEM: what hosts are to know each other by. Two authorities while one takes the other's place. */
  readonly caPem: string
  readonly joining: CertificateAuthority
  /** Fingerprint of the one of them under which `joining` is. */
  readonly root: string
  /** Secrets that all hosts share, by the names of their files. */
  readonly shared: Readonly<Record<string, string>>
}

/** Whether this gateway has a key to sign for hosts. A cluster that was founded before there was one has none. */
export const canSign = ({ join }: FlapsConfig): boolean =>
  join !== undefined && existsSync(join.joining_key_file)

/**
 * As they are now: who changes the authority of a cluster puts others in their place while flaps runs.
 *
 * @throws FlapsError flaps.state_bad: they do not belong together, as in the middle of that
 */
export function readClusterFiles(
  join: NonNullable<FlapsConfig['join']>,
  { agent, hosts }: FlapsConfig,
  nowMs: number,
): ClusterFiles {
  const read = (file: string) => readFileSync(file, 'utf8')
  const caPem = read(join.ca_file)
  const joining = {
    certificatePem: read(join.joining_cert_file),
    privateKeyPem: read(join.joining_key_file),
  }
  const root = isPair(joining) ? rootOf(joining.certificatePem, caPem, nowMs) : undefined
  if (root === undefined) throw unfit(join.joining_cert_file)
  const edgeKeys = agent?.edge_keys
  return {
    ...{ caPem, joining, root },
    shared: {
      'cluster.key': read(hosts.key_file),
      ...(edgeKeys === undefined ? {} : { 'edge-keys': read(edgeKeys) }),
    },
  }
}

function isPair({ certificatePem, privateKeyPem }: CertificateAuthority): boolean {
  return new X509Certificate(certificatePem).checkPrivateKey(createPrivateKey(privateKeyPem))
}

const unfit = (file: string) =>
  refuseWithFix(
    'flaps.state_bad',
    'failed_precondition: what this gateway signs with has ended, or is not of its key or not of ca.pem beside it',
    `${file}: make it anew with \`godwit host found\`, and copy joining.pem, joining.key and ca.pem to the gateway`,
  )
