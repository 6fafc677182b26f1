import { GodwitError } from '#base'

export type TransportErrorCode = keyof typeof TransportError.catalogue

/** What the network between the agents refuses, or cannot do. */
export class TransportError extends GodwitError<TransportErrorCode> {
  static override readonly catalogue = {
    'transport.address_bad': { status: 400 },
    /** No QUIC on this machine: the package has no binary for it. */
    'transport.quic_missing': { status: 501 },
    /** Certificates, keys or their names do not fit. */
    'transport.certificate_bad': { status: 400 },
    /** The peer cannot be reached now. */
    'transport.unreachable': { status: 503, transient: true },
    /** The peer was reached and is not who it should be, or we are not for it. */
    'transport.peer_refused': { status: 403 },
    /** As many peers or sessions as there may be. */
    'transport.too_many': { status: 429, transient: true },
    /** A send or receive took longer than its deadline; its session is reset. */
    'transport.deadline_exceeded': { status: 504, transient: true },
    /** The session ended before all was said: by the peer, or with its connection. */
    'transport.session_reset': { status: 503, transient: true },
    /** The transport was closed. */
    'transport.closed': { status: 503 },
  } as const
}

export function closedError(): TransportError {
  return new TransportError('transport.closed', { what: 'the transport of this node was closed' })
}

export function addressBad(address: string): TransportError {
  return new TransportError('transport.address_bad', {
    what: 'this is no address of an agent',
    values: { address: address.slice(0, 80) },
    fix: 'give an IP address and a port: 192.0.2.1:8787 or [2001:db8::1]:8787',
  })
}
