import type { LogLevel, LogShipper, LogWriter } from '#observe'
import type { MachineSeen } from '../model/machine-seen.ts'
import type { MachineView } from '../model/machine-view.ts'
import type { LogSink, LogStream } from './machine-logs.ts'
import { machineStory } from './machine-story.ts'

export interface ShippedLogsOptions {
  /** On this host: what waits for it slows a machine down. */
  readonly kept: LogSink
  /** Off this host; nobody waits for it. */
  readonly shipper: Pick<LogShipper, 'writerFor'>
  readonly hostId: string
  /** Resolves when the machines of this host are known; lines of guests that it took over wait for it. */
  readonly machines: Promise<Pick<MachineView, 'machine'>>
}

/** So that a line fits into a message of NATS even where each character needs six. */
const LINE_CHARS_MAX = 8_192

/**
 * The log of this host's machines, kept here and sent on. What cannot be sent waits and is then lost, within the
 * shipper's bounds; what is kept here is not.
 */
export class ShippedLogs implements LogSink {
  readonly #options: ShippedLogsOptions
  readonly #writers = new Map<string, LogWriter>()

  constructor(options: ShippedLogsOptions) {
    this.#options = options
  }

  async write(id: string, stream: LogStream, texts: readonly string[]): Promise<void> {
    const provider = stream === 'platform' ? 'runner' : 'app'
    const writer = this.#writerOf((await this.#options.machines).machine(id))
    for (const text of texts) {
      for (let at = 0; at === 0 || at < text.length; at += LINE_CHARS_MAX) {
        writer?.say(text.slice(at, at + LINE_CHARS_MAX), 'info', provider)
      }
    }
    await this.#options.kept.write(id, stream, texts)
  }

  remove(id: string): Promise<void> {
    this.#forget(id)
    return this.#options.kept.remove(id)
  }

  /** Tells what becomes of machines, too, until disposed. */
  follow(view: MachineView): Disposable {
    const states = new Map([...view.machines()].map(({ id, state }) => [id, state]))
    return view.onChange((change) => {
      if (change.kind === 'machine_forgotten') {
        states.delete(change.id)
        this.#forget(change.id)
      }
      if (change.kind !== 'machine' || states.get(change.id) === change.machine.state) return
      states.set(change.id, change.machine.state)
      const told = machineStory(change.machine)
      if (told !== undefined) this.#tell(change.machine, told)
    })
  }

  #tell(machine: MachineSeen, { text, level }: { text: string; level: LogLevel }): void {
    this.#writerOf(machine)?.say(text, level, 'runner')
  }

  #writerOf(machine: MachineSeen | undefined): LogWriter | undefined {
    if (machine === undefined) return undefined
    const { id, appName: app, region } = machine
    const known = this.#writers.get(id)
    if (known !== undefined) return known
    const { shipper, hostId: host } = this.#options
    const made = shipper.writerFor({ app, region, machine: id, host })
    this.#writers.set(id, made)
    return made
  }

  #forget(id: string): void {
    this.#writers.get(id)?.[Symbol.dispose]()
    this.#writers.delete(id)
  }
}
