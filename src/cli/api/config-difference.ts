/** One place in which two configurations differ. Undefined: it is not there. */
export interface Difference {
  /** As `services[0].internal_port`. */
  readonly path: string
  readonly before: unknown
  readonly after: unknown
}

/** Where two JSON values differ, in the order of the second, what is gone last. Pure. */
export function differences(before: unknown, after: unknown, path = ''): Difference[] {
  if (isNothing(before) && isNothing(after)) return []
  if (isAlike(before, after)) {
    const [old, now] = [entriesOf(before), entriesOf(after)]
    const names = new Set([...now.keys(), ...old.keys()])
    return [...names].flatMap((name) =>
      differences(old.get(name), now.get(name), joined(path, name, Array.isArray(after))),
    )
  }
  return JSON.stringify(before) === JSON.stringify(after) ? [] : [{ path, before, after }]
}

/** A line each: `~ env.A  "1" -> "2"`, `+` what is new, `-` what is gone. */
export function differenceText(all: readonly Difference[]): string {
  const width = Math.max(0, ...all.map(({ path }) => path.length))
  return all
    .map(({ path, before, after }) => {
      const mark = before === undefined ? '+' : after === undefined ? '-' : '~'
      const sides = [before, after].filter((side) => side !== undefined).map(shown)
      return `${mark} ${path.padEnd(width)}  ${sides.join(' -> ')}\n`
    })
    .join('')
}

type Tree = Readonly<Record<string, unknown>> | readonly unknown[]

const isTree = (value: unknown): value is Tree => typeof value === 'object' && value !== null

/** The API leaves out what is empty. */
const isNothing = (value: unknown) =>
  value === undefined || (isTree(value) && Object.keys(value).length === 0)

/** Both are lists or both objects, or an object is there on one side alone: then it is told key by key. */
function isAlike(before: unknown, after: unknown): boolean {
  const sides = [before, after].filter((side) => side !== undefined)
  if (!sides.every(isTree)) return false
  const lists = sides.filter((side) => Array.isArray(side)).length
  return lists === 0 || (lists === sides.length && sides.length === 2)
}

const entriesOf = (tree: unknown): Map<string, unknown> =>
  new Map(Object.entries(isTree(tree) ? tree : {}))

function joined(path: string, name: string, isList: boolean): string {
  if (isList) return `${path}[${name}]`
  return path === '' ? name : `${path}.${name}`
}

const SHOWN_CHARS_MAX = 80

function shown(value: unknown): string {
  const text = JSON.stringify(value)
  return text.length > SHOWN_CHARS_MAX ? `${text.slice(0, SHOWN_CHARS_MAX - 1)}…` : text
}
