import { X509Certificate } from 'node:crypto'
import type { Clock, Log } from '#base'
import {
  hostsWithout,
  isDue,
  namesIn,
  type Renewal,
  readRenewal,
  renewCertificate,
  rootOf,
  type SignedRenewal,
  type TrustRow,
} from '#trust'
import { refuse } from '../errors.ts'
import type { ClusterFiles } from './cluster-files.ts'
import type { ClusterMember } from './cluster-member.ts'

/** What a host is to have from now on. */
export interface RenewalAnswer {
  /** Files of its folder of secrets, by name; certificates only where it is to show others. */
  readonly secrets: Readonly<Record<string, string>>
  /** Hosts that must trust the cluster's new authority before anybody shows a certificate under it. */
  readonly waiting_for: readonly string[]
}

export interface RenewalAuthorityOptions {
  readonly files: () => ClusterFiles
  readonly members: () => readonly ClusterMember[]
  readonly trust: () => readonly TrustRow[]
  readonly clock: Clock
  readonly log: Log
}

/**
 * Tells hosts of the cluster what to trust, and signs for them anew in time, or when the authority has changed. The keys of a
 * host stay; the names in a certificate are those that it had: whoever founded the host gave it these.
 */
export class RenewalAuthority {
  readonly #options: RenewalAuthorityOptions

  constructor(options: RenewalAuthorityOptions) {
    this.#options = options
  }

  /**
   * @throws TrustError trust.renewal_bad, trust.certificate_bad; FlapsError flaps.forbidden, flaps.state_bad
   */
  async renew(signed: SignedRenewal): Promise<RenewalAnswer> {
    const { files, members, trust, clock, log } = this.#options
    const hosts = members()
    const nowMs = clock.nowMs()
    const memberOf = (host: string) => hosts.find((one) => one.host === host)
    const renewal = readRenewal(signed, (host) => memberOf(host)?.nkey, nowMs)
    const { caPem, joining, root, shared } = files()
    const present = rootsIn(renewal, memberOf(renewal.host), caPem, nowMs)
    const told = { ...shared, 'ca.pem': caPem }
    const isOther = present.some((one) => one !== root) // one alone: it died while it wrote them
    const waiting = isOther ? hostsWithout(root, hosts.map(nameOf), trust()) : []
    if (waiting.length > 0) return { secrets: told, waiting_for: waiting }
    if (!isOther && !isAnyDue(renewal, joining.certificatePem, nowMs)) {
      return { secrets: told, waiting_for: [] }
    }
    const certificates = {
      'server.pem': await renewCertificate(joining, renewal.server, { clock }),
      'client.pem': await renewCertificate(joining, renewal.client, { clock }),
    }
    log.info({ host: renewal.host, authority: root }, "a host's certificates are renewed")
    return { secrets: { ...told, ...certificates }, waiting_for: [] }
  }
}

const nameOf = ({ host }: ClusterMember) => host

const isAnyDue = ({ server, client }: Renewal, joiningPem: string, nowMs: number): boolean =>
  isDue(server, joiningPem, nowMs) || isDue(client, joiningPem, nowMs)

/** What it shows must be the cluster's, still good, and that of the member's address. @throws FlapsError flaps.forbidden */
function rootsIn(
  { host, server, client }: Renewal,
  member: ClusterMember | undefined,
  caPem: string,
  nowMs: number,
): readonly (string | undefined)[] {
  const roots = [server, client].map((pem) => rootOf(pem, caPem, nowMs))
  const isServer = new X509Certificate(server).keyUsage?.includes(SERVER_AUTH) === true
  const isOwn = member !== undefined && namesIn(server).includes(member.address)
  if (isServer && isOwn && !roots.includes(undefined)) return roots
  const what = `permission_denied: the certificates of ${host} have ended, or are not of this cluster`
  throw refuse('flaps.forbidden', what)
}

/** Extended key usage: RFC 5280, section 4.2.1.12. */
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
