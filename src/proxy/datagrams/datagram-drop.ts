/** Why a datagram was not handed on, as `godwit_proxy_datagram_drops_count` has it. */
export const DATAGRAM_DROPS = [
  /** A payload above DATAGRAM_BYTES_MAX. */
  'too_large',
  /** No app has the address, or no machine of it exposes the port. */
  'no_service',
  /** None of its machines runs and passes its checks. */
  'no_machine',
  /** It says that it comes from an address of an app: an answer would go in a circle. */
  'own_source',
  /** The machine's host said that it is not to be had there. */
  'refused',
  /** A machine spoke to somebody who had not spoken to it before. */
  'no_flow',
  /** A machine sent a part of a datagram. */
  'fragment',
  /** What no machine's kernel and no proxy sends. */
  'malformed',
  /** On the mesh, from no proxy of a known host, or from one that has nothing to say there. */
  'unknown_host',
  /** The kernel did not take it. */
  'unsent',
] as const
export type DatagramDrop = (typeof DATAGRAM_DROPS)[number]
