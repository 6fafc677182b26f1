export interface NewWireGuardPeer {
  readonly organization: string
  /** Letters, digits and `-`; of the organisation's peers one has it. */
  readonly name: string
  /** 32 bytes of base64. */
  readonly publicKey: string
  /** @default the organisation's own */
  readonly network?: string
  /** The host that it connects to, and where that is. */
  readonly gateway: string
  readonly region: string
  /** The peer's address, of the 256 that a network has at a gateway. */
  readonly addressOf: (networkId: number, slot: number) => string
}

export interface WireGuardPeer {
  readonly name: string
  readonly publicKey: string
  readonly network: string
  readonly networkId: number
  readonly gateway: string
  readonly region: string
  readonly peerIp: string
  readonly createdAtMs: number
}
