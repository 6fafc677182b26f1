import { type Log, pollUntil, systemClock, systemRandom } from '#base'
import { ApiClient } from '#corrosion'
import type { Announcer } from '../anycast/announcer.ts'
import { openAnnouncer } from '../anycast/open-announcer.ts'
import { openHostNetwork } from '../host-network.ts'
import { ensureHostField } from '../host-number.ts'
import { Mesh } from '../mesh/mesh.ts'
import { PlatformRelay, RELAYED_SERVICES } from '../platform/platform-relay.ts'
import { NETWORK_PLATFORM_ADDRESS, PLATFORM_ADDRESS } from '../six-pn-address.ts'
import { openSystem } from '../system.ts'
import { LinkMeter } from './link-meter.ts'
import { MeshUpkeep } from './mesh-upkeep.ts'
import type { NetConfig } from './net-config.ts'
import { netMetrics } from './net-metrics.ts'
import { parseListen, serveCommands, serveObserve } from './net-servers.ts'
import { openGateway } from './open-gateway.ts'
import { PlatformRows } from './platform-rows.ts'

export interface RunningNet extends AsyncDisposable {
  readonly observePort: number
  /** Resolves when this host gave its number to another one: end the process, and start it again. */
  readonly moved: Promise<void>
}

/** For the rows of others, before a number is chosen without them. */
const FIRST_ROWS_MS = 5_000

/**
 * The network of a host: programs, firewall, and the mesh to other hosts. Its end leaves all of it standing, and
 * it starts without corrosion, with the hosts that it knew last.
 *
 * @throws Net6Error net6.host_unable, net6.state_bad, net6.tool_failed
 */
export async function openNet(config: NetConfig, { log }: { log: Log }): Promise<RunningNet> {
  await using opened = new AsyncDisposableStack()
  const { host_id: hostId, folder, mtu_bytes: mtuBytes } = config
  const clock = systemClock
  const { url, token } = config.corrosion
  const agent = { url, ...(token === undefined ? {} : { bearerToken: token }) }
  const rows = opened.use(await PlatformRows.open({ ...agent, hostId, folder, clock, log }))
  const host = await ensureHostField(folder, hostId, async () => {
    await firstRows(rows, log)
    return rows.claims
  })
  const system = openSystem()
  const programs = await openHostNetwork({ system, host })
  const mesh = await Mesh.open({
    ...{ system, programs, folder, hostId, host, mtuBytes, log },
    publicAddress: config.public_address,
    port: config.port,
  })
  opened.defer(() => mesh.close())
  const client = new ApiClient(agent)
  const around = { hostId, system, rows, client, clock, random: systemRandom, log }
  const upkeep = opened.use(new MeshUpkeep({ ...around, host, folder, programs, mesh }))
  opened.use(new LinkMeter(around))
  opened.use(await openGateway(config, { ...around, programs, host, agent }))
  const relay = opened.use(
    await PlatformRelay.open({
      addresses: [PLATFORM_ADDRESS, NETWORK_PLATFORM_ADDRESS],
      services: RELAYED_SERVICES,
      gateways: () => rows.gateways,
      log,
    }),
  )
  const announcer = openAnnouncer(config, log)
  opened.defer(() => announcer?.close())
  const observe = opened.use(
    await serveObserve(parseListen(config.observe), {
      registry: netMetrics(mesh, rows, relay),
      health: async () => ({
        ok: (await mesh.devices()).size > 0,
        rows: { is_complete: rows.isComplete, is_connected: rows.isConnected },
      }),
    }),
  )
  opened.use(
    await serveCommands(config.socket, {
      async 'rotate-key'() {
        await upkeep.rotateKey()
        return mesh.ownColumns
      },
      ...(announcer === undefined ? {} : anycastCommands(announcer)),
    }),
  )
  log.info({ ...mesh.ownColumns, observe: observe.port }, 'the network of this host stands')
  const held = opened.move()
  return {
    observePort: observe.port,
    moved: upkeep.moved,
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }
}

const anycastCommands = (announcer: Announcer) => ({
  async drain() {
    await announcer.drain()
    return { phase: announcer.phase }
  },
  async undrain() {
    await announcer.undrain()
    return { phase: announcer.phase }
  },
  anycast: () => announcer.status(),
})

async function firstRows(rows: PlatformRows, log: Log): Promise<void> {
  try {
    await pollUntil('the rows of other hosts', () => rows.isComplete, { deadlineMs: FIRST_ROWS_MS })
  } catch {
    log.warn('no rows yet: the number of this host is chosen without them, and may have to change')
  }
}
