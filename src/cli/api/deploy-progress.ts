import type { DeployEvent, MachinePhase } from '#deploy'
import { wantsColour } from '../terminal.ts'

interface Line {
  readonly machine: string
  readonly place: string
  phase: MachinePhase
  detail: string
}

const MARKS: Partial<Record<MachinePhase, string>> = {
  healthy: '✓',
  updated: '✓',
  destroyed: '✓',
  rolled_back: '↩',
  failed: '✗',
}

/**
 * A deploy as people see it, on standard error: on a terminal a line for each machine that changes in
 * place; elsewhere a line for each thing that happens.
 */
export class DeployProgress {
  readonly #isQuiet: boolean
  readonly #isLive = process.stderr.isTTY === true
  readonly #hasColour = wantsColour(process.stderr)
  readonly #lines = new Map<string, Line>()
  #drawn = 0

  /** @param isQuiet say nothing: the result is printed as JSON */
  constructor(isQuiet: boolean) {
    this.#isQuiet = isQuiet
  }

  tell(event: DeployEvent): void {
    if (this.#isQuiet) return
    if (event.kind === 'machine') this.#change(event)
    else this.#say(textOf(event))
  }

  #change(event: Extract<DeployEvent, { kind: 'machine' }>): void {
    const { machine, group, region, phase, detail = '' } = event
    const line = this.#lines.get(machine) ?? {
      machine,
      place: `${group}, ${region}`,
      phase,
      detail,
    }
    line.phase = phase
    line.detail = detail
    this.#lines.set(machine, line)
    if (this.#isLive) this.#draw()
    else process.stderr.write(`${this.#text(line)}\n`)
  }

  /** What is drawn stays, and nothing more is drawn over it. */
  end(): void {
    this.#drawn = 0
    this.#lines.clear()
  }

  #say(text: string): void {
    this.#erase()
    process.stderr.write(`${text}\n`)
    if (this.#isLive) this.#draw()
  }

  #draw(): void {
    this.#erase()
    const lines = [...this.#lines.values()].map((line) => this.#text(line))
    process.stderr.write(lines.map((line) => `${line}\n`).join(''))
    this.#drawn = lines.length
  }

  #erase(): void {
    if (this.#drawn > 0) process.stderr.write(`\x1b[${this.#drawn}A\x1b[J`)
    this.#drawn = 0
  }

  #text({ machine, place, phase, detail }: Line): string {
    const mark = MARKS[phase] ?? '·'
    const words = `${phase.replaceAll('_', ' ')}${detail === '' ? '' : `: ${detail}`}`
    const width = process.stderr.columns ?? Number.POSITIVE_INFINITY
    const line = `${mark} ${machine}  ${place}  ${words}`
    const shown = this.#isLive && line.length > width ? `${line.slice(0, width - 1)}…` : line
    if (!this.#hasColour) return shown
    const colour = { '✓': 32, '✗': 31, '↩': 33 }[mark] ?? 36
    return shown.replace(mark, `\x1b[${colour}m${mark}\x1b[0m`)
  }
}

function textOf(event: Exclude<DeployEvent, { kind: 'machine' }>): string {
  switch (event.kind) {
    case 'planned':
      return `${event.updates} to update, ${event.creates} to make, ${event.destroys} to destroy`
    case 'ip':
      return `address ${event.ip}`
    case 'volume':
      return `volume ${event.volume} (${event.name}) in ${event.region}`
    case 'release_command':
      return event.phase === 'started'
        ? `release command runs in ${event.machine}`
        : 'release command succeeded'
    case 'stage':
      return event.text
    case 'warning':
      return `warning: ${event.text}`
    case 'rolling_back':
      return `going back on ${event.machines === 1 ? 'one machine' : `${event.machines} machines`}`
  }
}
