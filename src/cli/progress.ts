import type { Progress } from '#image'
import { wantsColour } from './terminal.ts'

const DRAW_MS = 100
const PLAIN_MS = 5_000
const BAR_CELLS = 24
const RATE_MS_MIN = 200

/** Where progress goes: standard error. */
export interface ProgressScreen {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

/**
 * How far steps are that take bytes: one bar that moves on a terminal, else a line now and then. A step
 * that has nothing to do shows nothing.
 */
export class ProgressView {
  readonly #screen: ProgressScreen
  readonly #nowMs: () => number
  #step: Step | undefined

  constructor(screen: ProgressScreen = process.stderr, nowMs = () => performance.now()) {
    this.#screen = screen
    this.#nowMs = nowMs
  }

  /** For one step: a function to tell it how far it is. */
  step(name: string): (progress: Progress) => void {
    return (progress) => {
      if (this.#step?.name !== name) this.#begin(name, progress)
      const step = this.#step
      if (step === undefined) return
      step.progress = progress
      const nowMs = this.#nowMs()
      if (progress.doneBytes >= progress.totalBytes) step.endedMs ??= nowMs
      if (nowMs - step.drawnMs < (this.#screen.isTTY ? DRAW_MS : PLAIN_MS)) return
      step.drawnMs = nowMs
      this.#draw(step, nowMs)
    }
  }

  note(text: string): void {
    this.end()
    this.#screen.write(`${text}\n`)
  }

  /** Says of the last step what it did, and lets go of the line. */
  end(): void {
    const step = this.#step
    this.#step = undefined
    if (step === undefined) return
    const ms = (step.endedMs ?? this.#nowMs()) - step.beganMs
    const done = sizeText(step.progress.doneBytes)
    const line = `${step.name}: ${done} in ${(ms / 1000).toFixed(1)} s${rateText(step, ms)}`
    this.#screen.write(`${this.#screen.isTTY ? '\r\x1b[K' : ''}${line}\n`)
  }

  #begin(name: string, progress: Progress): void {
    this.end()
    const nowMs = this.#nowMs()
    const fromBytes = progress.doneBytes
    this.#step = { name, progress, fromBytes, beganMs: nowMs, drawnMs: nowMs - DRAW_MS }
    if (!this.#screen.isTTY) this.#step.drawnMs = nowMs
  }

  #draw(step: Step, nowMs: number): void {
    const { doneBytes, totalBytes } = step.progress
    const share = totalBytes === 0 ? 1 : Math.min(1, doneBytes / totalBytes)
    const rate = rateText(step, nowMs - step.beganMs)
    const figures = `${sizeText(doneBytes)} of ${sizeText(totalBytes)}${rate}`
    if (!this.#screen.isTTY) {
      this.#screen.write(`${step.name}: ${figures}\n`)
      return
    }
    const full = Math.round(share * BAR_CELLS)
    const bar = '█'.repeat(full) + '░'.repeat(BAR_CELLS - full)
    const coloured = wantsColour(this.#screen) ? `\x1b[36m${bar}\x1b[0m` : bar
    const percent = `${Math.floor(share * 100)}%`.padStart(4)
    const width = step.name.length + 2 + BAR_CELLS + percent.length + 2 + figures.length
    const isNarrow = width >= (this.#screen.columns ?? 80)
    this.#screen.write(`\r\x1b[K${step.name}: ${isNarrow ? '' : coloured}${percent}  ${figures}`)
  }
}

interface Step {
  readonly name: string
  readonly beganMs: number
  /** What was there already. */
  readonly fromBytes: number
  progress: Progress
  drawnMs: number
  endedMs?: number
}

function rateText({ progress, fromBytes }: Step, ms: number): string {
  const bytes = progress.doneBytes - fromBytes
  return ms < RATE_MS_MIN || bytes <= 0 ? '' : ` (${sizeText((bytes / ms) * 1000)}/s)`
}

/** As `12.3 MB`: powers of 1000, as transfers are measured. */
export function sizeText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  for (; value >= 1000 && unit < units.length - 1; unit += 1) value /= 1000
  return `${unit === 0 ? Math.round(value) : value.toFixed(value < 10 ? 2 : 1)} ${units[unit]}`
}
