import type { CapacityBook, HostMode } from '#market'
import type { Store } from '../engine/store.ts'

const KEY = 'host/mode'
const MODES: readonly string[] = ['open', 'cordoned', 'draining'] satisfies readonly HostMode[]

export const isHostMode = (text: unknown): text is HostMode =>
  typeof text === 'string' && MODES.includes(text)

/** Whether this host takes machines; lasts over restarts. */
export class HostModeKeeper {
  readonly #store: Store
  readonly #book: CapacityBook
  readonly #onChange: () => void

  constructor(store: Store, book: CapacityBook, onChange: () => void) {
    this.#store = store
    this.#book = book
    this.#onChange = onChange
    const known = store.get(KEY)
    if (isHostMode(known)) book.mode = known
  }

  get mode(): HostMode {
    return this.#book.mode
  }

  async set(mode: HostMode): Promise<void> {
    await this.#store.commit([{ put: KEY, value: mode }])
    this.#book.mode = mode
    this.#onChange()
  }
}
