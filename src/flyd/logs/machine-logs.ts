/**
 * What machines say, line by line: a file for each with two generations, bounded. A line is JSON:
 * `{"at": unix ms, "stream": "stdout", "text": "..."}`. What ships logs elsewhere reads these or replaces
 * this sink.
 */
import { createReadStream } from 'node:fs'
import { appendFile, mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type Clock, errorCode } from '#base'

export type LogStream = 'stdout' | 'stderr' | 'platform'

export interface LogLine {
  /** Unix milliseconds. */
  readonly at: number
  readonly stream: LogStream
  readonly text: string
}

export interface LogSink {
  /** Resolves when it takes more: who waits slows the machine down, and loses nothing. */
  write(machineId: string, stream: LogStream, texts: readonly string[]): Promise<void>
  remove(machineId: string): Promise<void>
}

/** Of each of the two generations. */
const FILE_BYTES_MAX = 1 << 20

export class MachineLogs implements LogSink {
  readonly #folder: string
  readonly #clock: Clock
  readonly #fileBytesMax: number
  readonly #sizes = new Map<string, number>()
  /** Of one machine, one write after the other. */
  readonly #turns = new Map<string, Promise<void>>()

  constructor({
    folder,
    clock,
    fileBytesMax = FILE_BYTES_MAX,
  }: {
    folder: string
    clock: Clock
    fileBytesMax?: number
  }) {
    this.#folder = folder
    this.#clock = clock
    this.#fileBytesMax = fileBytesMax
  }

  write(machineId: string, stream: LogStream, texts: readonly string[]): Promise<void> {
    if (texts.length === 0) return Promise.resolve()
    const at = this.#clock.nowMs()
    const lines = texts.map((text) => `${JSON.stringify({ at, stream, text })}\n`).join('')
    return this.#inTurn(machineId, () => this.#append(machineId, lines))
  }

  async remove(machineId: string): Promise<void> {
    await this.#inTurn(machineId, async () => {
      this.#sizes.delete(machineId)
      for (const path of logPaths(this.#folder, machineId)) await rm(path, { force: true })
    })
  }

  /** Machines that have said anything. */
  async list(): Promise<string[]> {
    const names = await readdir(this.#folder).catch((error: unknown) => {
      if (errorCode(error) === 'ENOENT') return []
      throw error
    })
    return [...new Set(names.map((name) => name.split('.')[0] ?? ''))]
  }

  async #append(machineId: string, lines: string): Promise<void> {
    const [older, newer] = logPaths(this.#folder, machineId)
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    const size = this.#sizes.get(machineId) ?? (await sizeOf(newer))
    const isFull = size + lines.length > this.#fileBytesMax && size > 0
    if (isFull) await rename(newer, older)
    await appendFile(newer, lines, { mode: 0o600 })
    this.#sizes.set(machineId, (isFull ? 0 : size) + lines.length)
  }

  async #inTurn(machineId: string, work: () => Promise<void>): Promise<void> {
    const before = this.#turns.get(machineId) ?? Promise.resolve()
    const turn = before.then(work, work) // whoever wrote before told its own caller
    this.#turns.set(machineId, turn)
    try {
      await turn
    } finally {
      if (this.#turns.get(machineId) === turn) this.#turns.delete(machineId)
    }
  }
}

/** The older and the newer file. */
export const logPaths = (folder: string, machineId: string): [string, string] => [
  join(folder, `${machineId}.1.log`),
  join(folder, `${machineId}.log`),
]

/** The last lines of a machine, oldest first. What is no line, because a write was cut off, is left out. */
export async function readLog(
  folder: string,
  machineId: string,
  linesMax: number,
): Promise<LogLine[]> {
  const lines: LogLine[] = []
  for (const path of logPaths(folder, machineId)) {
    if ((await sizeOf(path)) === 0) continue
    for await (const line of createInterface({ input: createReadStream(path) })) {
      const parsed = parseLine(line)
      if (parsed !== undefined) lines.push(parsed)
      if (lines.length > 2 * linesMax) lines.splice(0, lines.length - linesMax)
    }
  }
  return lines.slice(-linesMax)
}

function parseLine(line: string): LogLine | undefined {
  try {
    return JSON.parse(line) as LogLine
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return 0
    throw error
  }
}
