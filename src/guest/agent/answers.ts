import { AgentError, protocolBroken } from './errors.ts'
import { type DecodedRecord, decodeRecords, findTexts, RecordTag } from './record.ts'

/** How a process ended: by itself, or by a signal (its number). */
export type Ending =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'signaled'; readonly signal: number }

/** The entrypoint as init last told it. `runCount` is how often it was started. */
export type EntrypointState =
  | { readonly phase: 'new' | 'starting' | 'running'; readonly runCount: number }
  | {
      readonly phase: 'exited' | 'failed'
      readonly runCount: number
      readonly ending: Ending
      /** The kernel killed it for want of memory. In a container the runtime knows instead. */
      readonly isOutOfMemory: boolean
    }

/** What the shells of this world make of an ending: the code, or 128 + signal. */
export function exitCodeOf(ending: Ending): number {
  return ending.kind === 'exited' ? ending.code : 128 + ending.signal
}

export interface Welcome {
  readonly streamsMax: number
  readonly windowBytes: number
  readonly entrypoint: EntrypointState
  /** Bytes of output that were acknowledged before: what comes now follows them. */
  readonly stdoutOffset: bigint
  readonly stderrOffset: bigint
}

export interface GuestStats {
  readonly memory: Record<'totalBytes' | 'freeBytes' | 'availableBytes', number> &
    Record<'swapTotalBytes' | 'swapFreeBytes', number>
  /** Over 1, 5 and 15 minutes. */
  readonly load: readonly [number, number, number]
  readonly processes: { readonly running: number; readonly total: number }
  readonly disks: readonly {
    readonly path: string
    readonly totalBytes: number
    readonly freeBytes: number
  }[]
  readonly interfaces: readonly {
    readonly name: string
    readonly receivedBytes: number
    readonly sentBytes: number
  }[]
}

/** @throws AgentError guest.protocol_broken, as all of these. */
export function decodeWelcome(payload: Buffer): Welcome {
  const records = decodeRecords(payload)
  const [streams, window] = findTexts(records, RecordTag.limits)
  const [stdout, stderr] = findTexts(records, RecordTag.offsets)
  return {
    streamsMax: integer(streams),
    windowBytes: integer(window),
    entrypoint: stateOf(records),
    stdoutOffset: BigInt(integer(stdout)),
    stderrOffset: BigInt(integer(stderr)),
  }
}

export function decodeState(payload: Buffer): EntrypointState {
  return stateOf(decodeRecords(payload))
}

export function decodeEnding(payload: Buffer): Ending {
  const [kind, number] = findTexts(decodeRecords(payload), RecordTag.result)
  return endingOf(kind, number)
}

/** The error that a FAILED frame tells; `doing` is what we had asked for. */
export function decodeFailure(payload: Buffer, doing: string): AgentError {
  const [step, errno, words, detail] = findTexts(decodeRecords(payload), RecordTag.error)
  const isMissing = errno === '2' && ['exec', 'open', 'chdir'].includes(step ?? '')
  const isFull = errno === '24'
  const code = isMissing ? 'guest.not_found' : isFull ? 'guest.too_many_streams' : undefined
  return new AgentError(code ?? 'guest.request_failed', {
    what: `the machine could not ${doing}`,
    values: { step, errno: integer(errno), words, ...(detail ? { detail } : {}) },
  })
}

export function decodeStats(payload: Buffer): GuestStats {
  const records = decodeRecords(payload)
  const numbers = (tag: RecordTag) => findTexts(records, tag).map(Number)
  const [total = 0, free = 0, available = 0, swapTotal = 0, swapFree = 0] = numbers(
    RecordTag.memory,
  )
  const [one = 0, five = 0, fifteen = 0] = numbers(RecordTag.load)
  const [running = 0, all = 0] = numbers(RecordTag.processes)
  const rows = (tag: RecordTag) => records.filter((record) => record.tag === tag)
  return {
    memory: {
      ...{ totalBytes: total, freeBytes: free, availableBytes: available },
      ...{ swapTotalBytes: swapTotal, swapFreeBytes: swapFree },
    },
    load: [one, five, fifteen],
    processes: { running, total: all },
    disks: rows(RecordTag.disk).map(({ texts: [path = '', size, left] }) => ({
      ...{ path, totalBytes: integer(size), freeBytes: integer(left) },
    })),
    interfaces: rows(RecordTag.net).map(({ texts: [name = '', received, , sent] }) => ({
      ...{ name, receivedBytes: integer(received), sentBytes: integer(sent) },
    })),
  }
}

function stateOf(records: readonly DecodedRecord[]): EntrypointState {
  const [phase, runs, kind, number, oom] = findTexts(records, RecordTag.state)
  const runCount = integer(runs)
  if (phase === 'new' || phase === 'starting' || phase === 'running') return { phase, runCount }
  if (phase !== 'exited' && phase !== 'failed') throw protocolBroken('an unknown state', { phase })
  return { phase, runCount, ending: endingOf(kind, number), isOutOfMemory: oom === 'oom' }
}

function endingOf(kind: string | undefined, number: string | undefined): Ending {
  if (kind === 'exited') return { kind, code: integer(number) }
  if (kind === 'signaled') return { kind, signal: integer(number) }
  throw protocolBroken('an unknown ending', { kind })
}

function integer(text: string | undefined): number {
  if (text !== undefined && /^\d{1,20}$/.test(text)) return Number(text)
  throw protocolBroken('a number is missing', { text })
}
