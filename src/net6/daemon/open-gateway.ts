import { type Backoff, backoffMs, type Clock, type Log, type Random } from '#base'
import type { ApiClient } from '#corrosion'
import { PeerGateway } from '../gateway/peer-gateway.ts'
import { openWebSocketEnd } from '../gateway/web-socket-end.ts'
import type { Programs } from '../programs/programs.ts'
import type { System } from '../system.ts'
import { GatewayUpkeep } from './gateway-upkeep.ts'
import type { NetConfig } from './net-config.ts'
import { parseListen } from './net-servers.ts'
import type { PlatformRows } from './platform-rows.ts'

export interface GatewayAround {
  readonly system: System
  readonly programs: Programs
  /** This host's field in addresses. */
  readonly host: number
  readonly rows: PlatformRows
  readonly agent: { readonly url: string; readonly bearerToken?: string }
  readonly client: ApiClient
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/** The gateway of this host for people's devices, as its configuration says. Its end leaves all peers connected. */
export async function openGateway(
  config: NetConfig,
  around: GatewayAround,
): Promise<AsyncDisposable | undefined> {
  const { gateway: settings, host_id: hostId, folder, mtu_bytes: mtuBytes } = config
  if (settings === undefined) return undefined
  await using opened = new AsyncDisposableStack()
  const { region, port, web_socket: webSocket } = settings
  const gateway = await PeerGateway.open({ ...around, folder, mtuBytes, port })
  const { public_address: address } = config
  const endpoint = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
  const hostKeys = () => around.rows.hostKeys
  opened.use(new GatewayUpkeep({ ...around, hostId, region, endpoint, gateway, hostKeys }))
  if (webSocket !== undefined) opened.use(new KeptWebSocketEnd(webSocket, port, around))
  return opened.move()
}

const BACKOFF: Backoff = { baseMs: 1_000, capMs: 30_000 }

/** The port may be another daemon's for a while: it is tried again, and nothing else waits for it. */
class KeptWebSocketEnd implements AsyncDisposable {
  readonly #stopping = new AbortController()
  readonly #loop: Promise<void>

  constructor(
    settings: NonNullable<NonNullable<NetConfig['gateway']>['web_socket']>,
    peerPort: number,
    around: Pick<GatewayAround, 'clock' | 'random' | 'log'>,
  ) {
    this.#loop = this.#run(settings, peerPort, around)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new Error('the daemon of the network ends'))
    await this.#loop
  }

  async #run(
    {
      listen,
      cert_file: certFile,
      key_file: keyFile,
    }: { listen: string; cert_file: string; key_file: string },
    peerPort: number,
    { clock, random, log }: Pick<GatewayAround, 'clock' | 'random' | 'log'>,
  ): Promise<void> {
    const { signal } = this.#stopping
    for (let failures = 0; !signal.aborted; failures += 1) {
      try {
        await using _end = await openWebSocketEnd({
          ...{ listen: parseListen(listen), tls: { certFile, keyFile }, peerPort, clock, log },
        })
        await aborted(signal)
        return
      } catch (err) {
        if (failures === 0)
          log.warn({ err, listen }, 'no WireGuard through WebSockets; it is tried again')
        await clock.sleep(backoffMs(failures, BACKOFF, random), signal).catch(() => undefined)
      }
    }
  }
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
