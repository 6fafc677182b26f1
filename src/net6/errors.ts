import { GodwitError } from '#base'

export type Net6ErrorCode = keyof typeof Net6Error.catalogue

export class Net6Error extends GodwitError<Net6ErrorCode> {
  static override readonly catalogue = {
    /** No address, prefix or field of one; `values` has the text. */
    'net6.address_bad': { status: 422 },
    /** A network id that no organisation may have. */
    'net6.network_reserved': { status: 422 },
    /** The machine has a network already, and it is another one. */
    'net6.machine_differs': { status: 409 },
    /** The host has no private IPv4 network left to give. */
    'net6.pool_full': { status: 503 },
    /** A file of this part's own state that cannot be read. */
    'net6.state_bad': { status: 500 },
    /** This host lacks something; `godwit doctor` tells what works here. */
    'net6.host_unable': { status: 503 },
    /** This host's own address on the mesh was not made in time. */
    'net6.mesh_away': { status: 503 },
    /** `godwit net run` does not answer. */
    'net6.daemon_away': { status: 503 },
    /** A system tool failed; `values.said` is what it wrote. */
    'net6.tool_failed': { status: 500 },
    /** An anycast prefix that the host's configuration does not name as the operator's. */
    'net6.prefix_not_owned': { status: 422 },
    /** A row of another host that makes no sense; it is left out until it changes. */
    'net6.peer_bad': { status: 422 },
    /** Not WireGuard's datagrams in a WebSocket, as the stock client sends them. */
    'net6.stream_bad': { status: 400 },
    /** A connection that a host hands on does not say who opened it. */
    'net6.source_bad': { status: 400 },
  } as const
}
