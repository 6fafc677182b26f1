import { INPUT_BYTES, INPUT_MARGIN, input, type SocketChannel } from '../net/channel.ts'
import type { EventLoop, Watcher } from '../net/event-loop.ts'
import { EAGAIN, SHUT_WR, SO_LINGER, SOL_SOCKET, setsockopt, shutdown } from '../net/libc.ts'
import { Memory } from '../net/memory.ts'
import {
  openssl,
  SSL_ERROR_WANT_READ,
  SSL_ERROR_WANT_WRITE,
  SSL_ERROR_ZERO_RETURN,
} from './openssl.ts'
import type { TlsContext } from './tls-context.ts'

/** A record's plaintext. A read of less room would split records for nothing. */
const RECORD_BYTES = 16 << 10
/** OpenSSL reads ahead about 16 KiB: as long as less came, the kernel had no more. */
const READ_AHEAD_BYTES_MIN = 12 << 10
const RECORD_OVERHEAD_BYTES = 64
/** What a TLS failure looks like to whoever asks for an errno. */
export const TLS_BROKEN: number = -71 // EPROTO

const linger = new Memory(8)
linger.bytes.writeInt32LE(1, 0)

/** TLS over a raw socket, as a server. */
export class TlsChannel implements SocketChannel {
  readonly fd: number
  hasMore = false
  readonly #ssl: bigint
  #isFreed = false

  constructor(fd: number, context: TlsContext) {
    this.fd = fd
    this.#ssl = openssl.SSL_new(context.pointer)
    openssl.SSL_set_fd(this.#ssl, fd)
    openssl.SSL_set_accept_state(this.#ssl)
  }

  /** @returns 1 when it is done, EAGAIN while it is not, TLS_BROKEN when it failed. */
  handshake(): number {
    const result = openssl.SSL_do_handshake(this.#ssl)
    return result === 1 ? 1 : this.#answer(result)
  }

  get isResumed(): boolean {
    return openssl.SSL_session_reused(this.#ssl) === 1
  }
  get version(): 'TLSv1.2' | 'TLSv1.3' {
    return openssl.SSL_version(this.#ssl) === 0x0304 ? 'TLSv1.3' : 'TLSv1.2'
  }

  /**
   * Several records at once. Whether there may be more is known by counting: as long as less came than
   * OpenSSL reads ahead, and it holds nothing back, the kernel had no more.
   */
  receive(): number {
    let count = 0
    let records = 0
    while (count + RECORD_BYTES <= INPUT_BYTES) {
      const result = openssl.SSL_read(this.#ssl, input.at(INPUT_MARGIN + count), RECORD_BYTES)
      if (result <= 0) {
        const answer = this.#answer(result)
        this.hasMore = answer !== EAGAIN // the end, which the next call tells again
        return count > 0 ? count : answer
      }
      count += result
      records += 1
      const isCounted = count + records * RECORD_OVERHEAD_BYTES < READ_AHEAD_BYTES_MIN
      if (isCounted && openssl.SSL_has_pending(this.#ssl) === 0) {
        this.hasMore = false
        return count
      }
    }
    this.hasMore = true
    return count
  }

  send(memory: Memory, offset: number, length: number): number {
    let sent = 0
    while (sent < length) {
      const result = openssl.SSL_write(this.#ssl, memory.at(offset + sent), length - sent)
      if (result <= 0) {
        const answer = this.#answer(result)
        return sent > 0 && answer === EAGAIN ? sent : answer
      }
      sent += result
    }
    return sent
  }

  #answer(result: number): number {
    const error = openssl.SSL_get_error(this.#ssl, result)
    if (error === SSL_ERROR_WANT_READ || error === SSL_ERROR_WANT_WRITE) return EAGAIN
    openssl.ERR_clear_error() // Node's own use of OpenSSL expects an empty queue
    return error === SSL_ERROR_ZERO_RETURN ? 0 : TLS_BROKEN
  }

  endWrite(): void {
    openssl.SSL_shutdown(this.#ssl)
    openssl.ERR_clear_error()
    shutdown(this.fd, SHUT_WR)
  }

  watchedBy(loop: EventLoop, watcher: Watcher): void {
    loop.replace(this.fd, watcher)
  }

  close(loop: EventLoop, isAbort: boolean): void {
    if (this.#isFreed) return
    this.#isFreed = true
    openssl.SSL_free(this.#ssl)
    openssl.ERR_clear_error()
    if (isAbort) setsockopt(this.fd, SOL_SOCKET, SO_LINGER, linger.at(0), 8)
    loop.closeFd(this.fd)
  }
}
