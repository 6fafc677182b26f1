import type { NewWireGuardPeer, WireGuardPeer } from './answers.ts'
import type { Call } from './call.ts'
import { ResourceClient } from './resource-client.ts'

/** The devices of people that one organisation lets into its networks. */
export class WireguardPeersClient extends ResourceClient {
  async list(call?: Call): Promise<readonly WireGuardPeer[]> {
    return (await this.caller.call<{ peers: WireGuardPeer[] }>('GET', this.path, call)).peers
  }

  /** Lets the device with this public key in. */
  add(
    peer: { name: string; pubkey: string; region?: string; network?: string },
    call?: Call,
  ): Promise<NewWireGuardPeer> {
    return this.caller.call('POST', this.path, { ...call, body: peer })
  }

  async remove(name: string, call?: Call): Promise<void> {
    await this.caller.call('DELETE', this.of(name), call)
  }
}
