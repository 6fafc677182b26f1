import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** One code of a catalogue, and what the places that throw it say. */
interface ErrorEntry {
  readonly code: string
  readonly status: number
  readonly isTransient: boolean
  /** What the catalogue's comment adds; may be empty. */
  readonly about: string
  readonly what: readonly string[]
  readonly fix: readonly string[]
}

const CATALOGUE = /static override readonly catalogue = \{\n([\s\S]*?)\n {2}\}/g
const ENTRY = /(?:\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*)?'([a-z0-9_.]+)': \{ status: (\d+)([^}]*)\}/g
/** A literal, whatever its quotes. */
const LITERAL = /'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`/
/** Far enough for a fault with its values, and short of the next one. */
const FAULT_LENGTH = 900

/**
 * docs/errors.md: every code that a part can throw, taken from the sources under `root`: the status
 * from the catalogues, texts from where the errors are thrown. What a text leaves to the moment is
 * shown as `…`.
 */
export function errorReference(root: string): string {
  const sources = globSync('src/**/*.ts', { cwd: root })
    .filter((file) => !/\.(test|sim|fixture)\.ts$/.test(file))
    .sort()
    .map((file) => readFileSync(join(root, file), 'utf8'))
  const entries = sources
    .flatMap((source) => [...source.matchAll(CATALOGUE)].flatMap(([, body = '']) => read(body)))
    .map((entry) => withTexts(entry, sources))
    .sort((a, b) => (a.code < b.code ? -1 : 1))
  return `# Errors by code

Every error has a code that never changes its meaning: \`--json\` and the APIs print it as \`code\`. Over HTTP it
goes with the status given here; *again* marks those where the same call may succeed later, unchanged.
What stands for \`…\` is said by the error itself. Written by \`npm run docs\`.

${[...bySection(entries)].map(([part, own]) => `## ${part}\n\n${own.map(line).join('\n')}\n`).join('\n')}`
}

function read(body: string): Omit<ErrorEntry, 'what' | 'fix'>[] {
  return [...body.matchAll(ENTRY)].map(([, comment = '', code = '', status, traits = '']) => ({
    code,
    status: Number(status),
    isTransient: traits.includes('transient: true'),
    about: comment
      .replace(/\n\s*\*/g, ' ')
      .replace(/\s+/g, ' ')
      .trim(),
  }))
}

function withTexts(
  entry: Omit<ErrorEntry, 'what' | 'fix'>,
  sources: readonly string[],
): ErrorEntry {
  const what = new Set<string>()
  const fix = new Set<string>()
  for (const source of sources) {
    for (const [start, end] of faults(source, entry.code)) {
      const fault = source.slice(start, end)
      const said = textOf(fault, 'what')
      const mended = textOf(fault, 'fix')
      if (said !== undefined) what.add(said)
      if (mended !== undefined) fix.add(mended)
    }
  }
  return { ...entry, what: [...what], fix: [...fix] }
}

/** Where the faults of a code stand: from the code to the brace that ends its object. */
function* faults(source: string, code: string): Generator<[number, number]> {
  const opening = `('${code}', {`
  for (let at = source.indexOf(opening); at >= 0; at = source.indexOf(opening, at + 1)) {
    const start = at + opening.length
    const closing = /\n\s*\}\)/.exec(source.slice(start, start + FAULT_LENGTH))
    const line = source.indexOf('})', start)
    yield [start, Math.max(line, closing === null ? 0 : start + closing.index)]
  }
}

function textOf(fault: string, key: 'what' | 'fix'): string | undefined {
  const found = new RegExp(`\\b${key}:\\s*(${LITERAL.source})`).exec(fault)?.[1]
  return found
    ?.slice(1, -1)
    .replace(/\$\{(?:[^{}]|\{[^{}]*\})*\}/g, '…')
    .replace(/\\(.)/g, '$1')
}

function bySection(entries: readonly ErrorEntry[]): Map<string, ErrorEntry[]> {
  return Map.groupBy(entries, ({ code }) => code.split('.')[0] ?? '')
}

function line({ code, status, isTransient, about, what, fix }: ErrorEntry): string {
  const texts = [what.join('; '), about].filter((text) => text !== '')
  return [
    `- \`${code}\` (${status}${isTransient ? ', again' : ''})`,
    ...texts.map((text) => ` ${plain(text).replace(/\.$/, '')}.`),
    ...(fix.length > 0 ? [` **Fix:** ${plain(fix.join('; or: '))}.`] : []),
  ].join('')
}

/** Text that Markdown shows as it is; what stands in backquotes is shown so anyway. */
const plain = (text: string) =>
  text.replace(/`[^`]*`|[*<[\]]/g, (found) => (found.length > 1 ? found : `\\${found}`))
