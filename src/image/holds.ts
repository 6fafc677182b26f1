/** Counts who needs what at the moment, in this process alone. */
export class Holds<Key> {
  readonly #counts = new Map<Key, number>()

  /** Holds `key` until disposed of, which may happen twice. */
  hold(key: Key): Disposable {
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1)
    let isHeld = true
    return {
      [Symbol.dispose]: () => {
        if (!isHeld) return
        isHeld = false
        const left = (this.#counts.get(key) ?? 1) - 1
        if (left === 0) this.#counts.delete(key)
        else this.#counts.set(key, left)
      },
    }
  }

  has(key: Key): boolean {
    return this.#counts.has(key)
  }
}
