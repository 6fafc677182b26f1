/**
 * Where the TLS front finds its certificates. Filled from corrosion by the certificate store, from a
 * file by `godwit proxy run`.
 */
export interface Certificates {
  /**
   * The certificate for a server name, in this order: exact name, wildcard, and for `selfSigned` the
   * self-signed default. HOT: once per handshake, from memory.
   * @param name lower case; '' when the client sent none.
   * @returns undefined: PT05 (no certificate for the name), the handshake is aborted.
   */
  find(name: string, selfSigned: boolean): Certificate | undefined

  /**
   * The certificate of a TLS-ALPN-01 challenge that is open for `name` (RFC 8737), shown only to
   * clients that offer `acme-tls/1`.
   */
  challenge(name: string): Certificate | undefined

  /** The body for `http://<hostname>/.well-known/acme-challenge/<token>` (RFC 8555, section 8.3). */
  httpAnswer?(hostname: string, token: string): string | undefined
}

/** Compared by identity: the same object as long as nothing in it changed. */
export interface Certificate {
  /** PEM, leaf first. */
  readonly chain: string
  /** PEM. */
  readonly key: string
}
