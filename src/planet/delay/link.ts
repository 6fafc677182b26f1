import { closeSync } from 'node:fs'
import type { DelayLink } from './config.ts'
import type { DelayQueueOptions } from './delay-queue.ts'
import { Direction, type DirectionStats } from './direction.ts'
import { isNamespacePinned, openTap, type Tap } from './tap.ts'

export interface LinkStats {
  readonly name: string
  readonly delayUs: number
  readonly jitterUs: number
  /** From the first of the link's ends to the second, and back. */
  readonly directions: readonly [DirectionStats, DirectionStats]
}

/** Two TAPs and what is under way between them. */
export class Link {
  readonly name: string
  readonly taps: readonly [Tap, Tap]
  readonly directions: readonly [Direction, Direction]
  readonly #resources: DisposableStack

  /** @throws DelayError what openTap throws; then nothing stays open. */
  constructor({ name, ends }: DelayLink, options: DelayQueueOptions) {
    using opened = new DisposableStack()
    const open = ({ netns, tap }: DelayLink['ends'][number]) =>
      opened.adopt(openTap(netns, tap), ({ fd }) => closeSync(fd))
    const [first, second] = [open(ends[0]), open(ends[1])]
    const there = opened.use(new Direction(first, second, options))
    const back = opened.use(new Direction(second, first, options))
    this.name = name
    this.taps = [first, second]
    this.directions = [there, back]
    this.#resources = opened.move()
  }

  get stats(): LinkStats {
    const [there, back] = this.directions
    const { delayUs, jitterUs } = there.queue
    return { name: this.name, delayUs, jitterUs, directions: [there.stats, back.stats] }
  }

  /** False: one of its namespaces was removed. */
  get isPinned(): boolean {
    return this.taps.every(isNamespacePinned)
  }

  setDelay(delayUs: number, jitterUs: number): void {
    for (const { queue } of this.directions) queue.setDelay(delayUs, jitterUs)
  }

  /** Detaches from the TAPs; frames under way are lost. */
  [Symbol.dispose](): void {
    this.#resources.dispose()
  }
}
