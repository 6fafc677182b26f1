import { NOBODY, Trace, type TraceEntry, traceNames } from './timeline.ts'

const LANES_MAX = 9
const LANE_CHARS = 9
const DETAIL_CHARS_MAX = 96

/**
 * A timeline for people: a line per entry, with a lane per node while there are few of them.
 *
 * ```
 *     time ms  client1  primary  backup
 *      12.480     o------->                sent {"put":7}
 *      13.912              *               log acked {"request":7}
 *      14.200              X               crash power
 * ```
 * @param names node ids by index.
 */
export function printTimeline(entries: readonly TraceEntry[], names: readonly string[]): string {
  const lanes = lanesOf(entries)
  const withLanes = lanes.length <= LANES_MAX
  const header = withLanes ? lanes.map((node) => fit(names[node] ?? '?')).join('') : 'node    '
  const lines = entries.map((entry) => {
    const where = withLanes ? drawLanes(entry, lanes) : (names[entry.node] ?? 'world').padEnd(8)
    return `${entry.atMs.toFixed(3).padStart(12)}  ${where}  ${describe(entry, names)}`
  })
  return [`${'time ms'.padStart(12)}  ${header}`, ...lines].join('\n')
}

/** Any value in few characters: bytes in hexadecimal, the rest as JSON. Never throws. */
export function showDetail(detail: unknown): string {
  if (detail === undefined) return ''
  if (typeof detail === 'string') return detail
  return shorten(encode(detail))
}

function encode(value: unknown): string {
  if (value instanceof Uint8Array) return showBytes(value)
  if (value instanceof Error) return value.message
  try {
    return JSON.stringify(value, replaceOpaque) ?? String(value)
  } catch (error) {
    return `unprintable: ${error instanceof Error ? error.message : String(error)}`
  }
}

function replaceOpaque(_key: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return showBytes(value)
  if (value instanceof Map || value instanceof Set) return [...value]
  return typeof value === 'bigint' ? `${value}n` : value
}

function showBytes(bytes: Uint8Array): string {
  const head = Buffer.from(bytes.subarray(0, 12)).toString('hex')
  return `<${bytes.length} B ${head}${bytes.length > 12 ? '…' : ''}>`
}

const shorten = (text: string) =>
  text.length <= DETAIL_CHARS_MAX ? text : `${text.slice(0, DETAIL_CHARS_MAX)}…`

function describe(entry: TraceEntry, names: readonly string[]): string {
  const kind = traceNames[entry.kind] ?? '?'
  const peer = entry.peer === NOBODY ? '' : ` ${arrowOf(entry.kind)} ${names[entry.peer] ?? '?'}`
  const detail = showDetail(entry.detail)
  return `${kind}${peer}${detail === '' ? '' : ` ${detail}`}`
}

const arrowOf = (kind: Trace) => (kind === Trace.received || kind === Trace.stream ? '<-' : '->')

function lanesOf(entries: readonly TraceEntry[]): number[] {
  const seen = new Set<number>()
  for (const { node, peer } of entries) {
    if (node !== NOBODY) seen.add(node)
    if (peer !== NOBODY) seen.add(peer)
  }
  return [...seen].sort((a, b) => a - b)
}

const marks: Partial<Record<Trace, string>> = {
  [Trace.crash]: 'X',
  [Trace.boot]: '^',
  [Trace.diskFault]: '!',
  [Trace.pause]: '=',
  [Trace.log]: '*',
  [Trace.disk]: 'd',
}

/** One line of lanes: an arrow towards the peer, or a mark in the node's own lane. */
function drawLanes(entry: TraceEntry, lanes: readonly number[]): string {
  const width = lanes.length * LANE_CHARS
  const line = new Array<string>(width).fill(' ')
  const middle = (node: number) => lanes.indexOf(node) * LANE_CHARS + (LANE_CHARS >> 1)
  if (entry.node === NOBODY) return line.join('')
  const at = middle(entry.node)
  if (entry.peer === NOBODY || entry.peer === entry.node) {
    line[at] = marks[entry.kind] ?? '.'
    return line.join('')
  }
  const isArrival = entry.kind === Trace.received
  drawArrow(line, isArrival ? middle(entry.peer) : at, isArrival ? at : middle(entry.peer), entry)
  return line.join('')
}

function drawArrow(line: string[], from: number, to: number, { kind }: TraceEntry): void {
  const stroke = kind === Trace.sent ? '·' : '-'
  for (let at = Math.min(from, to) + 1; at < Math.max(from, to); at += 1) line[at] = stroke
  const failed = kind === Trace.lost || kind === Trace.cut || kind === Trace.undelivered
  line[from] = 'o'
  line[to] = failed ? 'x' : to > from ? '>' : '<'
}

/** A name, centred in its lane. */
function fit(name: string): string {
  const cut = name.slice(0, LANE_CHARS - 1)
  return cut.padStart((LANE_CHARS + cut.length) >> 1).padEnd(LANE_CHARS)
}
