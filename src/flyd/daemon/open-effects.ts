import { join } from 'node:path'
import { type Log, systemClock, systemRandom } from '#base'
import type { ApiClient } from '#corrosion'
import { type Accelerator, QemuRuntime, RuncRuntime, type Runtime } from '#guest'
import { MachineImages } from '#machine'
import { MachineRoots, ReflinkDriver } from '#volume'
import type { SshAuthorities } from '../access/gateway-authorities.ts'
import { HostEffects } from '../effects/host-effects.ts'
import type { SecretSource } from '../effects/secret-source.ts'
import type { LogSink } from '../logs/machine-logs.ts'
import type { AskApi } from '../machine-api/serve-api-socket.ts'
import { type HostLinks, openHostLinks } from '../network/host-links.ts'
import type { FlydConfig } from './flyd-config.ts'
import type { HostAddresses } from './host-addresses.ts'

export interface EffectsAround {
  readonly log: Log
  readonly logs: LogSink
  readonly secrets: SecretSource
  /** Undefined: machines have no socket of the API. */
  readonly askApi: AskApi | undefined
  readonly authorities: SshAuthorities
  readonly network: HostLinks
  readonly addresses: HostAddresses
  /** Of virtual machines, as this host was tried. */
  readonly accelerator: Accelerator
}

const GB = 2 ** 30
const OPEN_MS_MAX = 5 * 60_000
/** Of images that gateways have, in references to them. */
export const IMAGES_REGISTRY = 'images.internal'

/** The links of this host's machines: containers and virtual machines have other ends of them. */
export const openNetwork = (
  { host: hostId, network, runtime }: FlydConfig,
  client: ApiClient,
  log: Log,
): Promise<HostLinks> =>
  openHostLinks({
    ...{ hostId, folder: network.folder, mtuBytes: network.mtu_bytes },
    ...{ kind: runtime === 'runc' ? 'container' : 'vm', client, clock: systemClock, log },
  })

/** What the state machines of this host act on. */
export async function openEffects(config: FlydConfig, around: EffectsAround): Promise<HostEffects> {
  const { folder, pool, images } = config
  const { log, logs, secrets, authorities, network, addresses, askApi } = around
  const driver = await ReflinkDriver.open({
    folder: pool.folder ?? join(folder, 'pool'),
    poolBytes: pool.size_gb * GB,
  })
  return await HostEffects.open(
    {
      ...{ folder, driver, secrets, authorities, askApi, logs, log },
      ...{ clock: systemClock, random: systemRandom },
      images: await MachineImages.open({
        folder: join(folder, 'images'),
        bytesMax: images.cache_gb * GB,
        registry: {
          inPlaceOf: async (name, signal) =>
            name === IMAGES_REGISTRY ? await addresses.images(images.port, signal) : undefined,
        },
      }),
      roots: await MachineRoots.open({ driver, folder: join(driver.sharedFolder, 'roots') }),
      links: network.links,
      policies: network.policies,
      runtime: runtimeOf(config, around),
    },
    AbortSignal.timeout(OPEN_MS_MAX),
  )
}

function runtimeOf({ folder, runtime }: FlydConfig, { accelerator, log }: EffectsAround): Runtime {
  if (runtime === 'runc') return new RuncRuntime({ stateDir: join(folder, 'guests') })
  const [stateDir, cacheDir] = [join(folder, 'vms'), join(folder, 'vm-cache')]
  return new QemuRuntime({ stateDir, cacheDir, accelerator, log })
}
