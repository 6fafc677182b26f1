import { request } from 'node:http'
import type { Log } from '#base'
import { BirdControl, renderBirdConfig } from '#bird'
import type { NetConfig } from '../daemon/net-config.ts'
import { Announcer } from './announcer.ts'
import { type AnycastPrefix, anycastPrefixes } from './anycast-prefixes.ts'
import { type BgpConfig, routerOf } from './bgp-config.ts'
import { BirdConfigFile } from './bird-config-file.ts'

/** @returns undefined: this host announces nothing. @throws Net6Error net6.address_bad */
export function openAnnouncer({ anycast }: NetConfig, log: Log): Announcer | undefined {
  if (anycast === undefined) return undefined
  const { bird_socket: birdSocket, proxy_socket: proxySocket, bgp } = anycast
  const prefixes = anycastPrefixes(anycast.prefixes, anycast.prefixes)
  return new Announcer({
    bird: new BirdControl(birdSocket),
    prefixes,
    isHealthy: (signal) => isWell(proxySocket, signal),
    drainMs: anycast.drain_s * 1000,
    log,
    ...(bgp === undefined ? {} : { config: configFile(bgp, prefixes) }),
  })
}

const configFile = (bgp: BgpConfig, prefixes: readonly AnycastPrefix[]): BirdConfigFile =>
  new BirdConfigFile(bgp.config, renderBirdConfig(routerOf(bgp, prefixes)))

/** Asks the proxy itself, on a new connection. Rejects when it does not answer. */
function isWell(socketPath: string, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const options = { socketPath, path: '/healthz', agent: false, signal }
    const asked = request(options, (response) => {
      response.resume()
      response.once('end', () => resolve(response.statusCode === 200))
      response.once('error', reject)
    })
    asked.once('error', reject)
    asked.end()
  })
}
