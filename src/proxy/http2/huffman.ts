/**
 * Lengths of the codes of octets 0 to 255 and of the end (RFC 7541, appendix B), as runs `length x count`. The
 * code is canonical: lengths are all there is to know.
 */
const RUNS = `13 23 28x7 24 30 28x2 30 28x8 30 28x9 6 10x2 12 13 6 8 11 10x2 8 11 8 6x3 5x3 6x7 7 8 15 6 12 10 13 6
  7x22 8 7 8 13 19 13 14 6 15 5 6 5 6 5 6x3 5 7x2 6x3 5 6 7 6 5x2 6 7x5 15 11 14 13 28
  20 22 20x2 22x3 23 22 23x5 24 23 24x2 22 23 24 23x4 21 22 23 22 23x2 24 22 21 20 22x2 23x2 21 23 22x2 24
  21 22 23x2 21x2 22 21 23 22 23x2 20 22x3 23 22x2 23 26x2 20 19 22 23 22 25 26x3 27x2 26 24 25 19 21
  26 27x2 26 27 24 21x2 26x2 28 27x3 20 24 20 21 22 21x2 23 22x2 25x2 24x2 26 23 26 27 26x2 27x5 28
  27x5 26 30`

const END = 256
export const codeLengths: readonly number[] = RUNS.trim()
  .split(/\s+/)
  .flatMap((run) => {
    const [length = '', count = '1'] = run.split('x')
    return new Array<number>(Number(count)).fill(Number(length))
  })

/**
 * The decoder goes by four bits: from a state (an inner node of the tree of codes) to the next. An entry is
 * `next << 16 | flags << 8 | octet`.
 */
const EMITS = 0x100
const FAILS = 0x200
const steps = new Int32Array(END * 16)
/** States in which the bits may end: at a code's start, or behind up to 7 bits of the code of the end, all 1. */
const mayEnd = new Uint8Array(END)

makeSteps()

function makeSteps(): void {
  /** Per inner node: what 0 and 1 lead to; an inner node's number, or -1 - symbol. */
  const tree: [number | undefined, number | undefined][] = [[undefined, undefined]]
  const symbols = [...codeLengths.keys()].sort(
    (one, other) => (codeLengths[one] as number) - (codeLengths[other] as number) || one - other,
  )
  let code = 0
  let length = 0
  for (const symbol of symbols) {
    const next = codeLengths[symbol] as number
    code *= 2 ** (next - length)
    length = next
    insert(tree, code, length, symbol)
    code += 1
  }
  if (code !== 2 ** length || tree.length !== END) throw new Error('the Huffman code is not whole')
  for (let state = 0; state < tree.length; state += 1) {
    for (let nibble = 0; nibble < 16; nibble += 1)
      steps[state * 16 + nibble] = step(tree, state, nibble)
  }
  let node = 0
  for (let bits = 0; bits <= 7; bits += 1) {
    mayEnd[node] = 1
    node = tree[node]?.[1] as number
  }
}

function insert(
  tree: [number | undefined, number | undefined][],
  code: number,
  length: number,
  symbol: number,
) {
  let node = 0
  for (let bit = length - 1; bit > 0; bit -= 1) {
    const branch = tree[node] as [number | undefined, number | undefined]
    const side = Math.floor(code / 2 ** bit) & 1
    if (branch[side] === undefined) branch[side] = tree.push([undefined, undefined]) - 1
    node = branch[side] as number
  }
  const branch = tree[node] as [number | undefined, number | undefined]
  branch[code & 1] = -1 - symbol
}

function step(
  tree: readonly [number | undefined, number | undefined][],
  from: number,
  nibble: number,
): number {
  let node = from
  let entry = 0
  for (let bit = 3; bit >= 0; bit -= 1) {
    const next = tree[node]?.[(nibble >> bit) & 1] as number
    if (next >= 0) {
      node = next
      continue
    }
    const symbol = -1 - next
    if (symbol === END) return FAILS // it must not be sent (section 5.2)
    entry = EMITS | symbol
    node = 0
  }
  return (node << 16) | entry
}

/**
 * Decodes bytes[start, end) into `target` at `at`, which has room for 8/5 of it. HOT.
 * @returns the end of what was written; -1: it is no such code
 */
export function decodeHuffman(
  bytes: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  at: number,
): number {
  let state = 0
  let to = at
  for (let from = start; from < end; from += 1) {
    const octet = bytes[from] as number
    const first = steps[state * 16 + (octet >> 4)] as number
    if ((first & EMITS) !== 0) {
      target[to] = first & 0xff
      to += 1
    }
    const second = steps[(first >> 16) * 16 + (octet & 15)] as number
    if ((second & EMITS) !== 0) {
      target[to] = second & 0xff
      to += 1
    }
    if (((first | second) & FAILS) !== 0) return -1
    state = second >> 16
  }
  return mayEnd[state] === 1 ? to : -1
}
