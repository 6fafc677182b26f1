import type { Caller, Directory } from '../directory/directory.ts'
import type { Place } from '../directory/nearness.ts'
import type { MachineRow } from '../directory/rows.ts'
import { ipv6Bytes, serviceAddress } from '../directory/six-pn.ts'
import { findAppName, list } from './app-names.ts'
import type { Found } from './found.ts'
import { isDeployed, isStarted } from './machine-selection.ts'

/** Names that flyctl makes for itself are not listed and have no address. */
const HIDDEN_PEER = 'interactive-'

export interface Scope {
  readonly directory: Directory
  readonly place: Place
  readonly caller: Caller
}

/** A name below `.internal`, without that label; undefined when there is no such name. */
export function findInternal(scope: Scope, labels: readonly string[]): Found | undefined {
  const { directory, caller } = scope
  const last = labels.at(-1)
  if (last === undefined) return { why: 'the zone itself' }
  const prefix = labels.slice(0, -1)
  if (last.startsWith('_')) return findService(scope, labels)
  const app = directory.app(caller, last)
  return app && findAppName({ ...scope, app }, prefix)
}

function findService(scope: Scope, labels: readonly string[]): Found | undefined {
  const { directory, caller } = scope
  const name = labels.join('.')
  if (name === '_api') {
    return { aaaa: [serviceAddress(caller.networkId)], why: 'the service address of your network' }
  }
  if (name === '_apps') {
    const names = directory.appsOfOrg(caller).map((row) => row.name)
    return list([...new Set(names)], 'apps of your organisation')
  }
  if (name === '_instances') return instances(scope, isStarted, 'started machines of your network')
  if (name === 'all._instances') {
    return instances(scope, isDeployed, 'deployed machines of your network')
  }
  return labels.at(-1) === '_peer' ? findPeer(scope, labels.slice(0, -1)) : undefined
}

function findPeer({ directory, caller }: Scope, labels: readonly string[]): Found | undefined {
  const shown = directory.peers(caller).filter(({ name }) => !name.startsWith(HIDDEN_PEER))
  if (labels.length === 0) {
    return list(
      shown.map(({ name }) => name),
      'WireGuard peers of your network',
    )
  }
  const peer = shown.find(({ name }) => name.toLowerCase() === labels.join('.'))
  return peer && { aaaa: [ipv6Bytes(peer.peerIp)], why: 'the WireGuard peer of that name' }
}

function instances(scope: Scope, fits: (row: MachineRow) => boolean, why: string): Found {
  const { directory, caller } = scope
  const texts = directory
    .appsOfOrg(caller)
    .filter(({ networkId }) => networkId === caller.networkId)
    .flatMap((app) =>
      directory
        .machines(caller, app)
        .filter(fits)
        .map(
          (row) => `instance=${row.id},app=${app.name},ip=${row.privateIp},region=${row.region}`,
        ),
    )
  return list(texts, why, ';')
}

/** `<app>.flycast`, without that label. */
export function findFlycast(scope: Scope, labels: readonly string[]): Found | undefined {
  const [name, ...rest] = labels
  if (name === undefined) return { why: 'the zone itself' }
  if (rest.length > 0) return undefined
  const found = scope.directory.flycast(scope.caller, name)
  return found.length === 0
    ? undefined
    : { aaaa: found.map(ipv6Bytes), why: 'Flycast addresses of the app in your network' }
}
