import { readFileSync } from 'node:fs'
import type { Log } from '#base'
import { type CapacityBook, NatsLink, parseHostId, parseRegion, serveBids } from '#market'
import type { HostEffects } from '../effects/host-effects.ts'
import type { LocalHost } from '../local-host.ts'
import type { FlydConfig } from './flyd-config.ts'
import type { HostAddresses } from './host-addresses.ts'

const LOOK_UP_MS_MAX = 5_000

/** Undefined: this host is on no NATS. Nothing waits for the connection. */
export function linkTo(
  { host: hostId, nats }: FlydConfig,
  addresses: HostAddresses,
  log: Log,
): NatsLink | undefined {
  if (nats === undefined) return undefined
  const seed = readFileSync(nats.seed_file, 'utf8').trim()
  const { host: natsHost, servers } = nats
  const found =
    natsHost === undefined
      ? servers
      : () => addresses.nats(natsHost, AbortSignal.timeout(LOOK_UP_MS_MAX))
  return new NatsLink({ servers: found, seed, name: `flyd ${hostId}`, log })
}

interface Around {
  readonly host: LocalHost
  readonly effects: HostEffects
  readonly book: CapacityBook
  readonly link: NatsLink
  readonly log: Log
}

/** Bids for machines and volumes. */
export function joinMarket(
  { host: hostId, region, capacity }: FlydConfig,
  { host, effects, book, link, log }: Around,
): Disposable {
  const { hardware, dedication } = capacity
  return serveBids({
    link,
    log,
    book,
    facts: {
      host: parseHostId(hostId),
      region: parseRegion(region.code),
      hardware,
      ...(dedication === undefined ? {} : { dedication }),
    },
    view: {
      holds: (id) => lives(host.view.machine(id) ?? host.view.volume(id)),
      countOfApp: (app) => host.view.countOfApp(app),
      hasImage: (reference) => effects.hasImage(reference),
    },
  })
}

const lives = (one: { readonly state: string } | undefined) =>
  one !== undefined && one.state !== 'destroyed' && one.state !== 'migrated'
