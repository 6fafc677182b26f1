import { MESH, ownAddress } from '#net6'
import { type FlapsConfig, parseListen } from './flaps-config.ts'

export interface BackhaulListen {
  /** Of `address:port`, where `mesh` is this host's own address on the mesh. */
  at(text: string): { host: string; port: number }
  /** The same of an address alone. */
  address(text: string): string
  /** Resolves when this host has got another address; never, when the signal aborts first. */
  moved(signal: AbortSignal): Promise<void>
}

/**
 * Where this gateway listens for other hosts; waits for the address on the mesh when any of it is there.
 *
 * @throws Net6Error net6.mesh_away
 */
export async function backhaulListen(config: FlapsConfig): Promise<BackhaulListen> {
  const { agent, secrets, images, networks, network } = config
  const texts = [secrets?.listen, images?.listen].flatMap((text) => text ?? [])
  const hosts = [...texts.map((text) => parseListen(text).host), networks?.address]
  const needsMesh = hosts.includes(MESH)
  const own = { folder: network.folder, hostId: agent?.host }
  const { address, moved } = await ownAddress(needsMesh ? MESH : '', own)
  const addressOf = (host: string) => (host === MESH ? address : host)
  return {
    at(text) {
      const { host, port } = parseListen(text)
      return { host: addressOf(host), port }
    },
    address: addressOf,
    moved,
  }
}
