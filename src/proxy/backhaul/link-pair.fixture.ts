import type { Random } from '#base'
import { LinkCore } from './link-core.ts'
import type { ResetReason, StreamHandlers } from './link-stream.ts'
import type { OpenFacts } from './open-facts.ts'

export const FACTS: OpenFacts = {
  machine: 'm1',
  internalPort: 8080,
  publicPort: 443,
  isHttp: true,
  hasAlternatives: false,
  clientAddress: '198.51.100.1',
  clientPort: 50_000,
  localAddress: '192.0.2.1',
  tlsVersion: 'TLSv1.3',
  serverName: 'a.test',
  alpn: 'h2',
  requestId: '01J3QTTJ0XDFVER4CMYHQEZGJF-ams',
}

/** What one end of a stream has heard. */
export class Ear implements StreamHandlers {
  readonly chunks: Buffer[] = []
  bytes = 0
  isEnded = false
  isReusable = false
  isDrained = true
  isLeaving = false
  resetReason: ResetReason | undefined
  refusal: string | undefined
  load: number | undefined
  isConsuming = true
  /** The core and the stream that consumption is told to. */
  link: { core: LinkCore; id: number } | undefined

  accepted(load: number): void {
    this.load = load
  }
  refused(code: string, load: number): void {
    this.refusal = code
    this.load = load
  }
  data(chunk: Buffer): void {
    this.chunks.push(Buffer.from(chunk))
    this.bytes += chunk.length
    if (this.isConsuming) this.link?.core.consumed(this.link.id, chunk.length)
  }
  ended(isReusable: boolean): void {
    this.isEnded = true
    this.isReusable = isReusable
  }
  reset(reason: ResetReason): void {
    this.resetReason = reason
  }
  drained(): void {
    this.isDrained = true
  }
  leaving(): void {
    this.isLeaving = true
  }
  get text(): string {
    return Buffer.concat(this.chunks).toString('latin1')
  }
}

/** Two cores and the bytes between them, which arrive in pieces of any size, or are cut off for good. */
export class LinkPair {
  readonly edge: LinkCore
  readonly worker: LinkCore
  /** The worker's ends by stream. */
  readonly ears = new Map<number, Ear>()
  readonly facts: OpenFacts[] = []
  readonly rttsUs: number[] = []
  /** What the edge heard of machines that leave. */
  readonly left: string[] = []
  nowMs = 1_000
  /** Bytes that still get through, both ways together. */
  budgetBytes = Number.POSITIVE_INFINITY
  /** What a worker does with a new stream. */
  onOpen: (id: number, ear: Ear) => void = (id) => this.worker.accept(id, 1, 10)
  readonly #random: Random
  readonly #wires = { toWorker: Buffer.alloc(0), toEdge: Buffer.alloc(0) }

  constructor(random: Random) {
    this.#random = random
    const nothing = () => undefined
    const quiet = { writable: nothing, hello: nothing, goingAway: nothing, leaving: nothing }
    this.edge = new LinkCore(
      true,
      'h1',
      {
        ...quiet,
        measured: (us) => this.rttsUs.push(us),
        opened: () => new Ear(),
        leaving: (machine) => this.left.push(machine),
      },
      this.nowMs,
    )
    this.worker = new LinkCore(
      false,
      'h2',
      {
        ...quiet,
        measured: () => undefined,
        opened: (id, facts) => {
          const ear = new Ear()
          ear.link = { core: this.worker, id }
          this.ears.set(id, ear)
          this.facts.push(facts)
          this.onOpen(id, ear)
          return ear
        },
      },
      this.nowMs,
    )
  }

  open(ear: Ear, facts: Partial<OpenFacts> = {}): number {
    const id = this.edge.open({ ...FACTS, ...facts }, ear) as number
    ear.link = { core: this.edge, id }
    return id
  }

  /** Moves some bytes each way. */
  step(): void {
    this.#move('toWorker', this.edge, this.worker)
    this.#move('toEdge', this.worker, this.edge)
  }

  /** Until nothing moves any more. */
  settle(): void {
    for (let quiet = 0; quiet < 3; ) {
      const before = this.edge.counters.receivedBytes + this.worker.counters.receivedBytes
      this.step()
      const after = this.edge.counters.receivedBytes + this.worker.counters.receivedBytes
      quiet = before === after ? quiet + 1 : 0
    }
  }

  #move(wire: 'toWorker' | 'toEdge', from: LinkCore, to: LinkCore): void {
    const all = Buffer.concat([this.#wires[wire], ...from.pull(1 + this.#random.int(40_000))])
    const size = Math.min(all.length, this.budgetBytes, 1 + this.#random.int(50_000))
    this.#wires[wire] = all.subarray(size)
    this.budgetBytes -= size
    if (size > 0) to.receive(Buffer.from(all.subarray(0, size)), this.nowMs)
  }
}
