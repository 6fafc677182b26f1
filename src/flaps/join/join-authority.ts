import { isIP } from 'node:net'
import { type Static, Type } from 'typebox'
import type { Accounts, JoinToken } from '#accounts'
import type { Clock, Log } from '#base'
import { hostsWithout, signCertificateRequest, type TrustRow } from '#trust'
import { refuse, refuseWithFix } from '../errors.ts'
import type { RegionRow } from '../rows.ts'
import type { ClusterFiles } from './cluster-files.ts'
import type { ClusterMember } from './cluster-member.ts'

const PEM_CHARS_MAX = 4_096

export const joinBody = Type.Object({
  token: Type.Object({
    id: Type.String({ maxLength: 64 }),
    secret: Type.String({ maxLength: 128 }),
  }),
  host: Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' }),
  /** @default where the request comes from */
  address: Type.Optional(Type.String({ maxLength: 64 })),
  /** Public nkey of its flyd; the seed stays with it, as the keys of both certificates do. */
  nkey: Type.String({ pattern: '^U[A-Z2-7]{55}$' }),
  server_request: Type.String({ maxLength: PEM_CHARS_MAX }),
  client_request: Type.String({ maxLength: PEM_CHARS_MAX }),
})
export type JoinBody = Static<typeof joinBody>

/** All that a host is told. */
export interface JoinAnswer {
  readonly host: string
  readonly region: RegionRow
  readonly app_domain: string | undefined
  readonly members: readonly ClusterMember[]
  /** Files of its folder of secrets, by name. */
  readonly secrets: Readonly<Record<string, string>>
}

export interface JoinAuthorityOptions {
  /** This gateway. */
  readonly hostId: string
  readonly accounts: Accounts
  /** @throws FlapsError flaps.state_bad */
  readonly files: () => ClusterFiles
  readonly trust: () => readonly TrustRow[]
  readonly appDomain: string | undefined
  /** As this gateway's own file has them. */
  readonly founded: readonly ClusterMember[]
  /** What came since: hosts that joined, and names of those that were removed. */
  readonly since: () => { joined: readonly ClusterMember[]; removed: readonly string[] }
  readonly regions: () => readonly RegionRow[]
  readonly isAlive: (member: ClusterMember) => boolean
  /** Tells all hosts. */
  readonly publish: (member: ClusterMember, signal: AbortSignal) => Promise<void>
  readonly clock: Clock
  readonly log: Log
}

/** One at a time: two servers must not get one name. */
export class JoinAuthority {
  readonly #options: JoinAuthorityOptions
  #last: Promise<unknown> = Promise.resolve()

  constructor(options: JoinAuthorityOptions) {
    this.#options = options
  }

  /** PEM: what all hosts know the cluster by. @throws FlapsError flaps.state_bad */
  get caPem(): string {
    return this.#options.files().caPem
  }

  /** Hosts that were founded or have joined, without those that were removed. */
  members(): ClusterMember[] {
    const { founded, since } = this.#options
    const { joined, removed } = since()
    const gone = new Set([...removed, ...joined.map(({ host }) => host)])
    return [...founded.filter(({ host }) => !gone.has(host)), ...joined]
  }

  /**
   * Lets a server into the cluster.
   *
   * @param source the address that it asks from
   * @throws FlapsError flaps.unauthenticated, flaps.argument_bad, flaps.conflict; AccountsError accounts.join_refused;
   *   TrustError trust.certificate_bad
   */
  async join(
    body: JoinBody,
    about: { source: string; requestId: string; signal: AbortSignal },
  ): Promise<JoinAnswer> {
    const { id, secret } = body.token
    const token = this.#options.accounts.joinToken(id, secret)
    // Before it waits for others: who has no token makes nobody wait.
    if (token === undefined) {
      throw refuse(
        'flaps.unauthenticated',
        'unauthenticated: no token for joining is like this one',
      )
    }
    const joining = this.#last.then(() => this.#join(body, token, about))
    this.#last = joining.catch(() => undefined)
    return await joining
  }

  async #join(
    body: JoinBody,
    token: JoinToken,
    { source, requestId, signal }: { source: string; requestId: string; signal: AbortSignal },
  ): Promise<JoinAnswer> {
    signal.throwIfAborted()
    const { accounts, log } = this.#options
    const { id } = token
    const address = addressOf(body, token, source)
    const members = this.members()
    checkFree(body, address, token, members, this.#options.isAlive)
    const { caPem, joining, root, shared } = this.#options.files()
    this.#checkKnown(root, body.host, members)
    const server = await signCertificateRequest(joining, body.server_request, { names: [address] })
    const client = await signCertificateRequest(joining, body.client_request)
    const by = { who: `join:${id}`, requestId }
    accounts.useJoinToken(by, { id, host: body.host, ip: address, nkey: body.nkey })
    const { region, roles } = token
    const member = { host: body.host, region, address, roles: [...roles], nkey: body.nkey }
    await this.#options.publish(member, signal)
    log.info({ host: member.host, address, token: id }, 'a host joins')
    return {
      host: member.host,
      region: this.#regionOf(region),
      app_domain: this.#options.appDomain,
      members: [...members.filter(({ host }) => host !== member.host), member],
      secrets: {
        ...shared,
        'ca.pem': caPem,
        'server.pem': server,
        'client.pem': client,
      },
    }
  }

  /** While the cluster's authority is changed: nobody could talk to the new host. */
  #checkKnown(root: string, host: string, members: readonly ClusterMember[]): void {
    const others = members.map((member) => member.host).filter((name) => name !== host)
    const rows = this.#options.trust()
    const isChanging = rows.some(({ signedBy }) => signedBy !== '' && signedBy !== root)
    const waiting = isChanging ? hostsWithout(root, others, rows) : []
    if (waiting.length === 0) return
    const what = `failed_precondition: the authority of this cluster is being changed, and not yet known to ${waiting.join(', ')}`
    throw refuseWithFix('flaps.state_bad', what, 'try again in some minutes: godwit host certs')
  }

  #regionOf(code: string): RegionRow {
    const known = this.#options.regions().find((one) => one.code === code)
    return known ?? { code, name: '', latitude: 0, longitude: 0 }
  }
}

/** Its certificate says that it is at this address: it must have shown that, or the operator said it. */
function addressOf({ address: wanted }: JoinBody, token: JoinToken, source: string): string {
  const address = wanted ?? token.ip ?? source
  if (isIP(address) === 0) {
    throw refuse('flaps.argument_bad', `invalid_argument: '${address}' is no address`)
  }
  if (token.ip === undefined && address !== source) {
    const what = `permission_denied: the request comes from ${source}, not from ${address}; make a token with --name and --address`
    throw refuse('flaps.forbidden', what)
  }
  return address
}

function checkFree(
  { host, nkey }: JoinBody,
  address: string,
  token: JoinToken,
  members: readonly ClusterMember[],
  isAlive: (member: ClusterMember) => boolean,
): void {
  const there = members.find((one) => one.address === address && one.host !== host)
  if (there !== undefined) {
    throw taken(`the address ${address} is that of host ${there.host}`)
  }
  const former = members.find((one) => one.host === host)
  if (former === undefined) return
  if (former.roles.some((role) => role === 'gateway' || role === 'nats')) {
    throw taken(
      `host ${host} is a gateway or has NATS: bring its folder back, as docs/operate.md says`,
    )
  }
  if (former.nkey === nkey && former.address === address) return // it asks again
  if (!token.replaces) {
    throw taken(
      `there is a host ${host}: choose another --name, or, if it is dead, make a token with --name ${host} --replace`,
    )
  }
  if (isAlive(former)) throw taken(`host ${host} still answers at ${former.address}`)
}

const taken = (what: string) => refuse('flaps.conflict', `already_exists: ${what}`)
