/**
 * The OpenSSL that Node is linked with, called through node:ffi: TLS on a raw socket without a stream
 * between. Node exports these functions for native add-ons; they are OpenSSL's stable API.
 *
 * Pointers are bigints and are used as given: a wrong one ends the process, so nothing outside src/proxy/tls
 * holds one.
 */
import { DynamicLibrary } from 'node:ffi'

const library = new DynamicLibrary(null)

export const openssl = library.getFunctions({
  TLS_server_method: { return: 'pointer', arguments: [] },
  SSL_CTX_new: { return: 'pointer', arguments: ['pointer'] },
  SSL_CTX_free: { return: 'void', arguments: ['pointer'] },
  SSL_CTX_ctrl: { return: 'int64', arguments: ['pointer', 'int32', 'int64', 'pointer'] },
  SSL_CTX_set_options: { return: 'uint64', arguments: ['pointer', 'uint64'] },
  SSL_CTX_set_cipher_list: { return: 'int32', arguments: ['pointer', 'string'] },
  SSL_CTX_use_certificate: { return: 'int32', arguments: ['pointer', 'pointer'] },
  SSL_CTX_use_PrivateKey: { return: 'int32', arguments: ['pointer', 'pointer'] },
  SSL_CTX_check_private_key: { return: 'int32', arguments: ['pointer'] },
  SSL_CTX_set_alpn_select_cb: { return: 'void', arguments: ['pointer', 'pointer', 'pointer'] },
  SSL_CTX_set_session_id_context: { return: 'int32', arguments: ['pointer', 'pointer', 'uint32'] },
  BIO_new_mem_buf: { return: 'pointer', arguments: ['pointer', 'int32'] },
  BIO_free: { return: 'int32', arguments: ['pointer'] },
  PEM_read_bio_X509: { return: 'pointer', arguments: ['pointer', 'pointer', 'pointer', 'pointer'] },
  PEM_read_bio_PrivateKey: {
    return: 'pointer',
    arguments: ['pointer', 'pointer', 'pointer', 'pointer'],
  },
  X509_free: { return: 'void', arguments: ['pointer'] },
  EVP_PKEY_free: { return: 'void', arguments: ['pointer'] },
  SSL_new: { return: 'pointer', arguments: ['pointer'] },
  SSL_free: { return: 'void', arguments: ['pointer'] },
  SSL_set_fd: { return: 'int32', arguments: ['pointer', 'int32'] },
  SSL_set_accept_state: { return: 'void', arguments: ['pointer'] },
  SSL_do_handshake: { return: 'int32', arguments: ['pointer'] },
  SSL_read: { return: 'int32', arguments: ['pointer', 'pointer', 'int32'] },
  SSL_write: { return: 'int32', arguments: ['pointer', 'pointer', 'int32'] },
  SSL_get_error: { return: 'int32', arguments: ['pointer', 'int32'] },
  SSL_has_pending: { return: 'int32', arguments: ['pointer'] },
  SSL_shutdown: { return: 'int32', arguments: ['pointer'] },
  SSL_session_reused: { return: 'int32', arguments: ['pointer'] },
  SSL_version: { return: 'int32', arguments: ['pointer'] },
  ERR_clear_error: { return: 'void', arguments: [] },
})

/** A C callback that runs `choose`; it lives as long as the process. */
export const registerAlpnCallback = (
  choose: (ssl: bigint, out: bigint, outLength: bigint, list: bigint, bytes: number) => number,
): bigint =>
  library.registerCallback(
    {
      return: 'int32',
      arguments: ['pointer', 'pointer', 'pointer', 'pointer', 'uint32', 'pointer'],
    },
    choose as never,
  )

export const SSL_ERROR_WANT_READ = 2
export const SSL_ERROR_WANT_WRITE = 3
export const SSL_ERROR_ZERO_RETURN = 6

export const SSL_CTRL_EXTRA_CHAIN_CERT = 14
export const SSL_CTRL_MODE = 33
export const SSL_CTRL_SET_READ_AHEAD = 41
export const SSL_CTRL_SET_SESS_CACHE_MODE = 44
export const SSL_CTRL_SET_TLSEXT_TICKET_KEYS = 59
export const SSL_CTRL_SET_MIN_PROTO_VERSION = 123
export const SSL_CTRL_SET_MAX_PROTO_VERSION = 124

/** ENABLE_PARTIAL_WRITE, ACCEPT_MOVING_WRITE_BUFFER, AUTO_RETRY, RELEASE_BUFFERS. */
export const MODES = 0x1n | 0x2n | 0x4n | 0x10n
/** IGNORE_UNEXPECTED_EOF, NO_COMPRESSION, PRIORITIZE_CHACHA, CIPHER_SERVER_PREFERENCE, NO_RENEGOTIATION. */
export const OPTIONS = (1n << 7n) | (1n << 17n) | (1n << 21n) | (1n << 22n) | (1n << 30n)
export const TLS_1_2 = 0x0303n
export const TLS_1_3 = 0x0304n

export const SSL_TLSEXT_ERR_OK = 0
export const SSL_TLSEXT_ERR_NOACK = 3
