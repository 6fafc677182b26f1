import { type Log, systemClock } from '#base'
import type { HostEffects } from '../effects/host-effects.ts'
import { HostMetrics } from '../metrics/host-metrics.ts'
import type { MachineView } from '../model/machine-view.ts'
import type { FlydConfig } from './flyd-config.ts'

/** Of a proxy's figures: more than as many apps as it counts would have. */
const PROXY_BYTES_MAX = 64 * 2 ** 20

/** What this host tells gateways of organisations' machines, in figures. */
export function tellMetrics(
  { host, region, proxy_metrics: url }: FlydConfig,
  { view, effects, log }: { view: MachineView; effects: HostEffects; log: Log },
): HostMetrics {
  return new HostMetrics({
    ...{ hostId: host, region: region.code, view, clock: systemClock, log },
    statsOf: (id, signal) => effects.stats(id, signal),
    addressesOf: (id) => effects.addressesOf(id),
    proxyText: url === undefined ? undefined : (signal) => textFrom(url, signal),
  })
}

async function textFrom(url: string, signal: AbortSignal): Promise<string> {
  const response = await fetch(url, { signal, redirect: 'error' })
  if (!response.ok) throw new Error(`${url} answered with status ${response.status}`)
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of response.body ?? []) {
    bytes += part.length
    if (bytes > PROXY_BYTES_MAX)
      throw new Error(`${url} answers more than ${PROXY_BYTES_MAX} bytes`)
    parts.push(part)
  }
  return Buffer.concat(parts).toString()
}
