import { Datagrams, type DatagramsOptions } from '../datagrams/datagrams.ts'
import { close } from '../net/libc.ts'
import type { TableName } from '../routing-table/platform-rows.ts'
import { FollowedListeners } from './followed-listeners.ts'

/** Public UDP of this host, at the addresses and ports that the routing table wants. */
export class FollowedDatagrams implements Disposable {
  readonly #datagrams: Datagrams
  readonly #listeners: FollowedListeners
  #isClosed = false

  /** @throws ProxyError proxy.listen_failed of the address on the mesh */
  constructor(options: DatagramsOptions & { readonly isEdge: boolean }) {
    this.#datagrams = new Datagrams(options)
    this.#listeners = new FollowedListeners({
      ...options,
      protocol: 'udp',
      serving: this.#datagrams,
      inherited: [], // a socket in two hands would split flows between two processes
    })
  }

  rowChanged(table: TableName): void {
    this.#listeners.rowChanged(table)
  }

  [Symbol.dispose](): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#listeners[Symbol.dispose]()
    this.#datagrams[Symbol.dispose]()
    for (const { fd } of this.#listeners.sockets) close(fd)
  }
}
