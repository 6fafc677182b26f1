/** Where other hosts are found on the backhaul: their rows say it, as this host's agent has them. */
import type { ApiClient } from '#corrosion'
import { natsUrls } from '#market'
import { refuse } from '../errors.ts'

/** On which gateways give out images that came from clients' files. */
export const IMAGES_PORT = 4283

export class HostAddresses {
  readonly #client: ApiClient
  readonly #hostId: string

  /** @param hostId of this host */
  constructor(client: ApiClient, hostId: string) {
    this.#client = client
    this.#hostId = hostId
  }

  /** @throws FlydError flyd.host_unreached: it has no row, or no address yet */
  async of(hostId: string, signal?: AbortSignal): Promise<string> {
    const [address] = await this.#read('WHERE id = ?', hostId, signal)
    if (address !== undefined) return address
    throw refuse('flyd.host_unreached', `unavailable: there is no host ${hostId}`)
  }

  /** Of the gateways, this host's own first. */
  gateways = (signal?: AbortSignal): Promise<readonly string[]> =>
    this.#read('WHERE is_gateway = 1 ORDER BY id = ? DESC, id', this.#hostId, signal)

  /** `address:port` each. */
  async images(port: number, signal?: AbortSignal): Promise<readonly string[]> {
    return (await this.gateways(signal)).map((address) => `${inAuthority(address)}:${port}`)
  }

  /** The nats-server of a host, as URLs. @throws FlydError flyd.host_unreached */
  async nats(hostId: string, signal?: AbortSignal): Promise<readonly string[]> {
    return natsUrls(await this.of(hostId, signal))
  }

  async #read(where: string, value: string, signal?: AbortSignal): Promise<string[]> {
    const addresses: string[] = []
    const sql = `SELECT backhaul_ip FROM hosts ${where}`
    for await (const event of this.#client.query(sql, [value], signal && { signal })) {
      if (event.kind !== 'row') continue
      const [address] = event.cells
      if (typeof address === 'string' && address !== '') addresses.push(address)
    }
    return addresses
  }
}

const inAuthority = (address: string): string => (address.includes(':') ? `[${address}]` : address)
