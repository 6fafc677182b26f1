import type { Random } from '#base'

/** A set of strings that gives random members without walking through all: each in constant time. */
export class DrawSet {
  readonly #items: string[] = []
  readonly #places = new Map<string, number>()

  get size(): number {
    return this.#items.length
  }

  has(item: string): boolean {
    return this.#places.has(item)
  }

  add(item: string): void {
    if (this.#places.has(item)) return
    this.#places.set(item, this.#items.length)
    this.#items.push(item)
  }

  /** The last one takes the place of the one that goes. */
  delete(item: string): void {
    const place = this.#places.get(item)
    const last = this.#items.pop()
    if (place === undefined || last === undefined) {
      if (last !== undefined) this.#items.push(last)
      return
    }
    this.#places.delete(item)
    if (last === item) return
    this.#items[place] = last
    this.#places.set(last, place)
  }

  [Symbol.iterator](): Iterator<string> {
    return this.#items[Symbol.iterator]()
  }

  /** Up to `count` different members, at random, without `except`. */
  draw(count: number, random: Random, except?: string): string[] {
    const drawn: string[] = []
    const size = this.#items.length
    const available = except !== undefined && this.has(except) ? size - 1 : size
    for (let at = 0; drawn.length < Math.min(count, available); at += 1) {
      // A partial shuffle: what was drawn stands at the front, wherever it was.
      const other = at + random.int(size - at)
      this.#swap(at, other)
      const item = this.#items[at] as string
      if (item !== except) drawn.push(item)
    }
    return drawn
  }

  #swap(one: number, other: number): void {
    const [a, b] = [this.#items[one] as string, this.#items[other] as string]
    this.#items[one] = b
    this.#items[other] = a
    this.#places.set(b, one)
    this.#places.set(a, other)
  }
}
