import { readFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { type Accounts, openAccounts, RevocationFeed, readKeyRing } from '#accounts'
import { type Log, systemClock, systemRandom } from '#base'
import { ApiClient } from '#corrosion'
import { ClusterKey, HostClients } from '#flyd'
import { openVerifier } from '#macaroon'
import { NatsLink, NatsPlacer, natsUrls, parseClientId } from '#market'
import { GATEWAY_API_PORT, GATEWAY_LOGS_PORT } from '#net6'
import { keepLogStream, LogReader } from '#observe'
import { accountsDirectory } from './accounts-directory.ts'
import { accountsMachineNames } from './accounts-machine-names.ts'
import { AppPublisher } from './app-publisher.ts'
import type { Statement } from './app-rows.ts'
import { backhaulListen } from './backhaul-listen.ts'
import type { EdgeSeal } from './certificate-rows.ts'
import { corrosionRows } from './corrosion-rows.ts'
import { type FlapsConfig, parseListen } from './flaps-config.ts'
import { serveGatewayApi } from './gateway-api.ts'
import { HostMembership } from './host-membership.ts'
import { systemLookup } from './hostname-lookup.ts'
import { accountsIdentity, ISSUES_NOTHING } from './identity-provider.ts'
import { ImageDepot } from './images/image-depot.ts'
import { chooseImages } from './images/image-owners.ts'
import { ImageUpkeep } from './images/image-upkeep.ts'
import { serveImages } from './images/serve-images.ts'
import { openJoin } from './join/open-join.ts'
import { keptLogs } from './logs.ts'
import { machineApiCall } from './machine-api/machine-api-call.ts'
import { marketPlacement } from './market-placement.ts'
import { serveFeed } from './network/serve-feed.ts'
import { placesCall } from './places-call.ts'
import { RecentWrites } from './recent-writes.ts'
import { type RunningFlaps, runFlaps } from './run-flaps.ts'
import { secretsCall } from './secrets-call.ts'
import type { ServerExtension } from './server.ts'
import { sshAuthorityCall } from './ssh-authority-call.ts'

const REVOCATIONS_PERIOD_MS = 1_000
/** Without news for so long no token is believed. */
const REVOCATIONS_STALE_MS = 30_000
const VERDICTS = { entriesMax: 10_000, ttlMs: 60_000 } as const

export interface OpenFlaps extends RunningFlaps {
  /** Resolves when this host was given another number in the network: end the process, and start it again. */
  readonly moved: Promise<void>
}

export interface OpenFlapsOptions {
  readonly log: Log
  /** What else the same address serves, over the same accounts. */
  readonly extend?: (opened: OpenedForExtensions) => readonly ServerExtension[]
}

export interface OpenedForExtensions {
  readonly accounts: Accounts
  readonly config: FlapsConfig
  /** Images that clients brought from files. */
  readonly depot: ImageDepot | undefined
}

/**
 * An instance of the API over what its configuration names. It needs neither NATS nor any host to
 * start: what they are needed for is refused until they are there.
 *
 * @throws Net6Error net6.mesh_away; CertificateError certificates.key_ring_bad; BaseError base.certificate_bad
 */
export async function openFlaps(
  config: FlapsConfig,
  { log, extend }: OpenFlapsOptions,
): Promise<OpenFlaps> {
  const clock = systemClock
  const random = systemRandom
  await using opened = new AsyncDisposableStack()
  const ring = readKeyRing(config.accounts.key_ring, random)
  const accounts = opened.use(openAccounts({ path: config.accounts.database, ring }))
  const feed = new RevocationFeed(accounts, { clock, staleAfterMs: REVOCATIONS_STALE_MS })
  feed.poll()
  const polling = setInterval(() => pollOrTell(feed, log), REVOCATIONS_PERIOD_MS)
  opened.defer(() => clearInterval(polling))
  const database = new DatabaseSync(config.replica, { readOnly: true })
  opened.defer(() => database.close())
  const members =
    config.agent &&
    opened.use(new HostMembership({ socket: config.agent.socket, hostId: config.agent.host, log }))
  const rows = corrosionRows({
    database,
    ...(members && { hostStatus: (id, ip) => members.statusOf(id, ip) }),
  })
  const link = opened.use(newLink(config, (hostId) => rows.backhaulIpOf(hostId), log))
  if (config.logs !== undefined) {
    opened.use(keepLogStream(link, { bytesMax: config.logs.bytes_max }, { clock, random, log }))
  }
  const placer = opened.use(
    new NatsPlacer({ link, client: parseClientId(config.nats.client), log }),
  )
  const verifier = openVerifier({
    keyFor: (kid) => accounts.rootKeySecret(kid),
    revocations: feed,
    cache: VERDICTS,
    clock,
  })
  const { v4, shared_v4: sharedV4, v6_prefix: v6Prefix } = config.addresses
  const pools = {
    v4,
    ...(sharedV4 === undefined ? {} : { sharedV4 }),
    ...(v6Prefix === undefined ? {} : { v6Prefix }),
  }
  const key = ClusterKey.read(config.hosts.key_file, log)
  const fleet = opened.use(
    new HostClients({
      addressOf: (hostId) => rows.backhaulIpOf(hostId),
      port: config.hosts.port,
      key,
    }),
  )
  const publisher =
    config.agent && opened.use(await publishApps(config.agent, { accounts, database, log }))
  const changed = () => publisher?.changed()
  const services = {
    clock,
    random,
    region: config.region,
    directory: accountsDirectory({ accounts, verifier, pools, random, log, changed }),
    rows,
    fleet,
    placement: marketPlacement(placer),
    logs: keptLogs(new LogReader(link)),
    names: accountsMachineNames(accounts),
    recent: new RecentWrites(clock),
    dns: systemLookup(),
    identity: config.oidc ? accountsIdentity(accounts, config.oidc.issuer) : ISSUES_NOTHING,
  }
  const backhaul = await backhaulListen(config)
  let depot: ImageDepot | undefined
  if (config.images !== undefined) {
    const { folder, bytes_max: bytesMax } = config.images
    depot = await ImageDepot.open({ folder, bytesMax, clock })
    depot.chooseBy(chooseImages(services))
    opened.use(new ImageUpkeep(depot, { clock, random, log }))
    opened.use(await serveImages(depot, { listen: backhaul.at(config.images.listen), log }))
  }
  const joinAround = { accounts, database, regions: () => rows.regions(), log }
  const join = members && openJoin(config, { ...joinAround, membership: members })
  const [listen, admin] = [parseListen(config.listen), parseListen(config.admin)]
  const { networks } = config
  const organizationOf = (networkId: number) => organizationOfNetwork(accounts, networkId)
  const host = networks && backhaul.address(networks.address)
  const network = host && { listen: { host, port: GATEWAY_API_PORT }, organizationOf }
  const running = opened.use(
    await runFlaps({
      ...{ services, listen, admin, log, ...tlsOf(config) },
      ...(depot && { depot }),
      ...(join && { join }),
      ...(network && { network }),
      ...(extend && { extensions: extend({ accounts, config, depot }) }),
    }),
  )
  if (host !== undefined) {
    const logsListen = { host, port: GATEWAY_LOGS_PORT }
    const around = { accounts, verifier, link, clock, log }
    opened.use(await serveFeed({ ...around, listen: logsListen, organizationOf }))
  }
  if (config.secrets !== undefined) {
    const { directory, placement } = services
    const machines = machineApiCall({ directory, inject: running.injectAs })
    const calls = [
      secretsCall(accounts),
      sshAuthorityCall(accounts),
      placesCall(placement),
      machines,
    ]
    const gateway = backhaul.at(config.secrets.listen)
    opened.use(await serveGatewayApi({ calls, key, listen: gateway, clock, log }))
  }
  const ending = new AbortController()
  opened.defer(() => ending.abort(new Error('flaps ends')))
  const { promise: moved, resolve } = Promise.withResolvers<void>()
  backhaul.moved(ending.signal).then(resolve, (err: unknown) => {
    if (!ending.signal.aborted) log.error({ err }, 'the number of this host cannot be read')
  })
  const held = opened.move()
  return {
    ...running,
    moved,
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }
}

async function publishApps(
  { host: hostId, url, token, edge_keys: edgeKeys }: NonNullable<FlapsConfig['agent']>,
  around: { accounts: Accounts; database: DatabaseSync; log: Log },
): Promise<AppPublisher> {
  const client = new ApiClient({ url, ...(token === undefined ? {} : { bearerToken: token }) })
  return new AppPublisher({
    ...around,
    hostId,
    edgeSeal: edgeKeys === undefined ? undefined : await openEdgeSeal(edgeKeys),
    write: (statements, signal) => client.transaction(statements.map(asJson), { signal }),
    clock: systemClock,
    random: systemRandom,
  })
}

/** Blobs travel as arrays of bytes. */
const asJson = ([sql, values]: Statement) =>
  [sql, values.map((value) => (value instanceof Uint8Array ? [...value] : value))] as const

/** The proxy's part is loaded here alone: who seals nothing does without it. */
async function openEdgeSeal(path: string): Promise<EdgeSeal> {
  const { customSealContext, readEdgeKeyRing } = await import('#proxy')
  const ring = readEdgeKeyRing(path, systemRandom)
  return {
    seal: (hostname, key) => ring.seal(Buffer.from(key), customSealContext(hostname)),
    isNewest: (sealed) => ring.isNewest(sealed),
  }
}

function organizationOfNetwork(accounts: Accounts, networkId: number) {
  const found = accounts.organizationOfNetwork(networkId)
  return found && { numericId: found.id, slug: found.slug }
}

function tlsOf({ tls }: FlapsConfig) {
  return tls && { tls: { certFile: tls.cert_file, keyFile: tls.key_file } }
}

function newLink(
  { nats: { host: hostId, ...nats } }: FlapsConfig,
  addressOf: (hostId: string) => string | undefined,
  log: Log,
): NatsLink {
  const seed = readFileSync(nats.seed_file, 'utf8').trim()
  const servers = hostId === undefined ? nats.servers : async () => natsUrls(addressOf(hostId))
  return new NatsLink({ servers, seed, name: `flaps ${nats.client}`, log })
}

/** A failure is survived: until what is known is stale, when no token is believed any more. */
function pollOrTell(feed: RevocationFeed, log: Log): void {
  try {
    feed.poll()
  } catch (error) {
    log.error({ err: error }, 'revocations cannot be read')
  }
}
