import type { Random } from '#base'
import { DrawSet } from './draw-set.ts'
import type { Identity, Rumour } from './member.ts'

interface Member {
  readonly rumour: Rumour
  /** Infinity unless it is a suspect: when it is down. */
  downAtMs: number
  /** Infinity unless it is down: when it is forgotten. */
  readonly forgetAtMs: number
}

/** What is known of every other node of a cluster, and who is up, suspected or down by it. */
export class MemberTable {
  readonly #members = new Map<string, Member>()
  readonly #suspects = new Set<string>()
  readonly up = new DrawSet()
  readonly down = new DrawSet()

  get size(): number {
    return this.#members.size
  }

  get(id: string): Member | undefined {
    return this.#members.get(id)
  }

  rumourOf(id: string): Rumour | undefined {
    return this.#members.get(id)?.rumour
  }

  rumours(): Rumour[] {
    return [...this.#members.values()].map(({ rumour }) => rumour)
  }

  /** Ids, the longest suspected first. */
  get suspects(): Iterable<string> {
    return this.#suspects
  }

  /** When the next suspect is down; Infinity: nobody is suspected. */
  get nextDownAtMs(): number {
    let nextMs = Infinity
    for (const id of this.#suspects) {
      nextMs = Math.min(nextMs, this.#members.get(id)?.downAtMs ?? Infinity)
    }
    return nextMs
  }

  /** In place of what was known of it, which may have been a suspicion. @param forgetAtMs of one that is down */
  remember(rumour: Rumour, forgetAtMs: number): void {
    const { id } = rumour.identity
    const isDown = rumour.health === 'down'
    const member = { rumour, downAtMs: Infinity, forgetAtMs: isDown ? forgetAtMs : Infinity }
    this.#members.set(id, member)
    this.#suspects.delete(id)
    this.up.delete(id)
    this.down.delete(id)
    if (isDown) this.down.add(id)
    else this.up.add(id)
  }

  /** One that is remembered as a suspect is down at that time, unless it refutes. */
  suspect(id: string, downAtMs: number): void {
    const member = this.#members.get(id)
    if (member === undefined) return
    member.downAtMs = downAtMs
    this.#suspects.add(id)
  }

  forgetDown(nowMs: number): void {
    for (const id of [...this.down]) {
      if ((this.#members.get(id)?.forgetAtMs ?? 0) > nowMs) continue
      this.down.delete(id)
      this.#members.delete(id)
    }
  }

  /** Up to `count` members that are up, at random, without `except`. */
  pick(count: number, random: Random, except?: string): Identity[] {
    return this.up
      .draw(count, random, except)
      .flatMap((id) => this.#members.get(id)?.rumour.identity ?? [])
  }

  /**
   * The member whose id follows this one, around the end. Every second probe goes to it, so that each
   * member has one node that surely looks at it within two periods; chance alone leaves a tail.
   */
  successorOf(self: string): string | undefined {
    let next: string | undefined
    let lowest: string | undefined
    for (const id of this.up) {
      if (lowest === undefined || id < lowest) lowest = id
      if (id > self && (next === undefined || id < next)) next = id
    }
    return next ?? lowest
  }
}
