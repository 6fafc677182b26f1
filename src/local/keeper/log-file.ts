/**
 * The output of a machine as lines of JSON, in two files that together have a limit: when `log` is full it
 * becomes `log.1`. A flood of output costs disk up to that, and no more.
 */
import { closeSync, fstatSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { StringDecoder } from 'node:string_decoder'
import { errorCode } from '#base'

export type LogStream = 'stdout' | 'stderr'

export interface LogLine {
  /** RFC 3339, of the host. */
  readonly at: string
  readonly stream: LogStream
  /** Without its end of line. */
  readonly text: string
  /** The line goes on in the next one of this stream. */
  readonly isPart?: true
}

export const LOG_BYTES_MAX = 10 << 20
const LINE_CHARS_MAX = 16_384

export const logPaths = (folder: string) => [join(folder, 'log.1'), join(folder, 'log')] as const

export class LogFile {
  readonly #folder: string
  readonly #bytesMax: number
  readonly #unfinished = { stdout: newUnfinished(), stderr: newUnfinished() }
  #fd: number
  #bytes: number
  #lostLines = 0

  constructor(folder: string, bytesMax = LOG_BYTES_MAX) {
    this.#folder = folder
    this.#bytesMax = bytesMax
    this.#fd = openSync(logPaths(folder)[1], 'a', 0o600)
    this.#bytes = fstatSync(this.#fd).size
  }

  write(stream: LogStream, bytes: Buffer, now = new Date()): void {
    const unfinished = this.#unfinished[stream]
    const pieces = (unfinished.text + unfinished.decoder.write(bytes)).split('\n')
    let rest = pieces.pop() ?? ''
    let lines = ''
    const at = now.toISOString()
    const add = (text: string, isPart: boolean) => {
      lines += `${JSON.stringify({ at, stream, text, ...(isPart ? { isPart } : {}) })}\n`
    }
    for (const piece of pieces) {
      for (let at = 0; at <= piece.length; at += LINE_CHARS_MAX) {
        add(piece.slice(at, at + LINE_CHARS_MAX), at + LINE_CHARS_MAX < piece.length)
      }
    }
    for (; rest.length > LINE_CHARS_MAX; rest = rest.slice(LINE_CHARS_MAX)) {
      add(rest.slice(0, LINE_CHARS_MAX), true)
    }
    unfinished.text = rest
    this.#append(lines)
  }

  /** Writes what has no end of line. */
  close(now = new Date()): void {
    for (const stream of ['stdout', 'stderr'] as const) {
      if (this.#unfinished[stream].text !== '') this.write(stream, Buffer.from('\n'), now)
    }
    closeSync(this.#fd)
  }

  #append(lines: string): void {
    if (lines === '') return
    const [older, present] = logPaths(this.#folder)
    if (this.#bytes > this.#bytesMax) {
      closeSync(this.#fd)
      renameSync(present, older)
      this.#fd = openSync(present, 'a', 0o600)
      this.#bytes = 0
    }
    try {
      this.#bytes += writeSync(this.#fd, this.#lostNote() + lines)
      this.#lostLines = 0
    } catch (error) {
      if (!['ENOSPC', 'EDQUOT'].includes(errorCode(error) ?? '')) throw error
      this.#lostLines += lines.split('\n').length - 1 // the machine does not die of the host's full disk
    }
  }

  /** After lines that did not fit: how many. It begins with the end of a line that was cut. */
  #lostNote(): string {
    if (this.#lostLines === 0) return ''
    const text = `[godwit: ${this.#lostLines} lines are lost: the disk was full]`
    return `\n${JSON.stringify({ at: new Date().toISOString(), stream: 'stderr', text })}\n`
  }
}

const newUnfinished = () => ({ text: '', decoder: new StringDecoder('utf8') })

/** All lines that are kept, oldest first. A line that is being written is left out. */
export function readLog(folder: string): LogLine[] {
  return logPaths(folder).flatMap((path) => parseLog(readIfThere(path)).lines)
}

/** @returns the whole lines of `text`, and what is left of it. */
export function parseLog(text: string): { lines: LogLine[]; rest: string } {
  const pieces = text.split('\n')
  const rest = pieces.pop() ?? ''
  return { lines: pieces.flatMap(parseLine), rest }
}

/** A line that a full disk or a kill cut short is left out. */
function parseLine(line: string): LogLine[] {
  try {
    return [JSON.parse(line) as LogLine]
  } catch {
    return []
  }
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return ''
    throw error
  }
}
