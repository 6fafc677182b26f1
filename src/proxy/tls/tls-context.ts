import { setUint8, setUint64, toBuffer } from 'node:ffi'
import type { Certificate } from '../certificates.ts'
import { ProxyError } from '../errors.ts'
import { Memory } from '../net/memory.ts'
import {
  MODES,
  OPTIONS,
  openssl,
  registerAlpnCallback,
  SSL_CTRL_EXTRA_CHAIN_CERT,
  SSL_CTRL_MODE,
  SSL_CTRL_SET_MAX_PROTO_VERSION,
  SSL_CTRL_SET_MIN_PROTO_VERSION,
  SSL_CTRL_SET_READ_AHEAD,
  SSL_CTRL_SET_SESS_CACHE_MODE,
  SSL_CTRL_SET_TLSEXT_TICKET_KEYS,
  SSL_TLSEXT_ERR_NOACK,
  SSL_TLSEXT_ERR_OK,
  TLS_1_2,
  TLS_1_3,
} from './openssl.ts'

export interface TlsSettings {
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3'
  readonly maxVersion: 'TLSv1.2' | 'TLSv1.3'
  /** Protocols offered, most wanted first. Empty: the client's wish is ignored. */
  readonly alpn: readonly string[]
}

/** Forward secrecy and authenticated encryption only: what the documentation lists, and RSA beside ECDSA. */
export const CIPHERS_TLS_1_2 = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':')

/** name 16, HMAC 32, AES 32: OpenSSL's own layout for session ticket keys. */
export const TICKET_KEY_BYTES = 80

/** What connections that show one certificate share: OpenSSL's SSL_CTX. Lives until `dispose`. */
export class TlsContext implements Disposable {
  readonly pointer: bigint

  /** @throws ProxyError proxy.certificate_bad */
  constructor(certificate: Certificate, settings: TlsSettings, ticketKey: Uint8Array) {
    this.pointer = openssl.SSL_CTX_new(openssl.TLS_server_method())
    try {
      this.#configure(settings, ticketKey)
      this.#useCertificate(certificate)
    } catch (error) {
      openssl.SSL_CTX_free(this.pointer)
      throw error
    } finally {
      openssl.ERR_clear_error()
    }
  }

  #configure(settings: TlsSettings, ticketKey: Uint8Array): void {
    const control = (command: number, value: bigint, pointer = 0n) =>
      openssl.SSL_CTX_ctrl(this.pointer, command, value, pointer)
    const version = (text: string) => (text === 'TLSv1.3' ? TLS_1_3 : TLS_1_2)
    control(SSL_CTRL_SET_MIN_PROTO_VERSION, version(settings.minVersion))
    control(SSL_CTRL_SET_MAX_PROTO_VERSION, version(settings.maxVersion))
    control(SSL_CTRL_MODE, MODES)
    control(SSL_CTRL_SET_READ_AHEAD, 1n)
    control(SSL_CTRL_SET_SESS_CACHE_MODE, 0n) // tickets only: no memory per client
    openssl.SSL_CTX_set_options(this.pointer, OPTIONS)
    openssl.SSL_CTX_set_cipher_list(this.pointer, CIPHERS_TLS_1_2)
    openssl.SSL_CTX_set_session_id_context(this.pointer, sessionContext.at(0), 6)
    this.setTicketKey(ticketKey)
    if (settings.alpn.length > 0) {
      openssl.SSL_CTX_set_alpn_select_cb(this.pointer, alpnCallback(settings.alpn), 0n)
    }
  }

  /** Tickets are sealed and opened with this key from now on: the same on every host of the world. */
  setTicketKey(ticketKey: Uint8Array): void {
    const key = new Memory(TICKET_KEY_BYTES)
    key.bytes.set(ticketKey.subarray(0, TICKET_KEY_BYTES))
    openssl.SSL_CTX_ctrl(
      this.pointer,
      SSL_CTRL_SET_TLSEXT_TICKET_KEYS,
      BigInt(TICKET_KEY_BYTES),
      key.at(0),
    )
  }

  #useCertificate({ chain, key }: Certificate): void {
    const certificates = readPem(chain, openssl.PEM_read_bio_X509)
    const [leaf, ...others] = certificates
    const [privateKey] = readPem(key, openssl.PEM_read_bio_PrivateKey, 1)
    const isUsed =
      leaf !== undefined &&
      privateKey !== undefined &&
      openssl.SSL_CTX_use_certificate(this.pointer, leaf) === 1 &&
      openssl.SSL_CTX_use_PrivateKey(this.pointer, privateKey) === 1 &&
      openssl.SSL_CTX_check_private_key(this.pointer) === 1
    if (leaf !== undefined) openssl.X509_free(leaf) // the context has its own reference
    if (privateKey !== undefined) openssl.EVP_PKEY_free(privateKey)
    // The context owns the others from now on.
    for (const one of others) openssl.SSL_CTX_ctrl(this.pointer, SSL_CTRL_EXTRA_CHAIN_CERT, 0n, one)
    if (isUsed) return
    throw new ProxyError('proxy.certificate_bad', {
      what: 'certificate and key cannot be used',
      values: { certificates: certificates.length, hasKey: privateKey !== undefined },
      fix: 'give PEM: the chain with the leaf first, and the key of the leaf',
    })
  }

  [Symbol.dispose](): void {
    openssl.SSL_CTX_free(this.pointer) // connections hold their own references
  }
}

const sessionContext = new Memory(8)
sessionContext.bytes.write('godwit')

/** Every object of a PEM text that `read` knows, in order. */
function readPem(
  text: string,
  read: (bio: bigint, ...rest: bigint[]) => bigint,
  max = 16,
): bigint[] {
  const bytes = Buffer.from(text)
  const memory = new Memory(Math.max(1, bytes.length))
  memory.bytes.set(bytes)
  const bio = openssl.BIO_new_mem_buf(memory.at(0), bytes.length)
  const found: bigint[] = []
  while (found.length < max) {
    const one = read(bio, 0n, 0n, 0n)
    if (one === 0n) break
    found.push(one)
  }
  openssl.BIO_free(bio)
  memory.bytes.fill(0)
  return found
}

const callbacks = new Map<string, bigint>()

/** One callback for each list of protocols. It must not throw: OpenSSL stands between it and us. */
function alpnCallback(offered: readonly string[]): bigint {
  const key = offered.join('\0')
  const known = callbacks.get(key)
  if (known !== undefined) return known
  const names = offered.map((name) => {
    const memory = new Memory(name.length)
    memory.bytes.write(name, 'latin1')
    return { name, memory }
  })
  const callback = registerAlpnCallback((_ssl, out, outLength, list, bytes) => {
    const wanted = splitAlpn(toBuffer(list, bytes, true))
    const chosen = names.find(({ name }) => wanted.includes(name))
    if (chosen === undefined) return SSL_TLSEXT_ERR_NOACK
    setUint64(out, 0, chosen.memory.at(0))
    setUint8(outLength, 0, chosen.name.length)
    return SSL_TLSEXT_ERR_OK
  })
  callbacks.set(key, callback)
  return callback
}

/** Length-prefixed names (RFC 7301). OpenSSL has checked the lengths. */
function splitAlpn(bytes: Buffer): string[] {
  const names: string[] = []
  let at = 0
  while (at < bytes.length) {
    const length = bytes[at] as number
    names.push(bytes.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  return names
}
