import { readFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { openAccounts, RevocationFeed, readKeyRing } from '#accounts'
import { type Log, systemClock, systemRandom } from '#base'
import { openVerifier } from '#macaroon'
import { NatsLink, NatsPlacer, parseClientId } from '#market'
import { accountsDirectory } from './accounts-directory.ts'
import { corrosionRows } from './corrosion-rows.ts'
import { type FlapsConfig, parseListen } from './flaps-config.ts'
import type { Fleet } from './machine-host.ts'
import { LocalMachineNames } from './machine-names.ts'
import { marketPlacement } from './market-placement.ts'
import { RecentWrites } from './recent-writes.ts'
import { type RunningFlaps, runFlaps } from './run-flaps.ts'

const REVOCATIONS_PERIOD_MS = 1_000
/** Without news for so long no token is believed. */
const REVOCATIONS_STALE_MS = 30_000
const VERDICTS = { entriesMax: 10_000, ttlMs: 60_000 } as const

/**
 * An instance of the API over what its configuration names. It needs neither NATS nor any host to
 * start: what they are needed for is refused until they are there.
 */
export async function openFlaps(
  config: FlapsConfig,
  { fleet, log }: { fleet: Fleet; log: Log },
): Promise<RunningFlaps> {
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
  const link = opened.use(newLink(config, log))
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
  const services = {
    clock,
    random,
    region: config.region,
    directory: accountsDirectory({ accounts, verifier, pools, random, log }),
    rows: corrosionRows({ database }),
    fleet,
    placement: marketPlacement(placer),
    names: new LocalMachineNames(clock),
    recent: new RecentWrites(clock),
  }
  const [listen, admin] = [parseListen(config.listen), parseListen(config.admin)]
  const running = opened.use(await runFlaps({ services, listen, admin, log }))
  const held = opened.move()
  return {
    address: running.address,
    adminAddress: running.adminAddress,
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }
}

function newLink({ nats }: FlapsConfig, log: Log): NatsLink {
  const seed = readFileSync(nats.seed_file, 'utf8').trim()
  return new NatsLink({ servers: nats.servers, seed, name: `flaps ${nats.client}`, log })
}

/** A failure is survived: until what is known is stale, when no token is believed any more. */
function pollOrTell(feed: RevocationFeed, log: Log): void {
  try {
    feed.poll()
  } catch (error) {
    log.error({ err: error }, 'revocations cannot be read')
  }
}
