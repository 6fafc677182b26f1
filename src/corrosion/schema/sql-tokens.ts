/** A piece of SQL text. Comments and white space are left out. */
export interface SqlToken {
  readonly kind: 'word' | 'quoted' | 'string' | 'other'
  readonly text: string
  readonly start: number
  readonly end: number
}

const SPACE = /\s+|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/y
const WORD = /[\p{L}_\u0080-\uffff][\p{L}\p{N}_$\u0080-\uffff]*/uy
const QUOTED = /"(?:[^"]|"")*"?|`(?:[^`]|``)*`?|\[[^\]]*\]?/y
const STRING = /[xX]?'(?:[^']|'')*'?/y
const PARAMETER = /[?:@#$][\p{L}\p{N}_$]*/uy
const NUMBER = /(?:0[xX][0-9a-fA-F_]+|[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+)/y

/**
 * SQLite's words, names, strings and punctuation, as far as one needs them to find statements and
 * clauses. Text that SQLite would refuse is still cut into something: SQLite itself says what is wrong.
 */
export function* sqlTokens(sql: string): Generator<SqlToken> {
  let at = 0
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at
    return pattern.exec(sql)?.[0]
  }
  while (at < sql.length) {
    const space = match(SPACE)
    if (space !== undefined) {
      at += space.length
      continue
    }
    const [kind, text] = nextToken(match, sql[at] as string)
    yield { kind, text, start: at, end: at + text.length }
    at += text.length
  }
}

function nextToken(
  match: (pattern: RegExp) => string | undefined,
  fallback: string,
): [SqlToken['kind'], string] {
  const string = match(STRING)
  if (string !== undefined) return ['string', string]
  const word = match(WORD)
  if (word !== undefined) return ['word', word]
  const quoted = match(QUOTED)
  if (quoted !== undefined) return ['quoted', quoted]
  return ['other', match(PARAMETER) ?? match(NUMBER) ?? fallback]
}

/** The name that a word or quoted token stands for. */
export function nameOf({ kind, text }: SqlToken): string {
  if (kind !== 'quoted') return text
  const inner = text.slice(1, -1)
  if (text.startsWith('"')) return inner.replaceAll('""', '"')
  return text.startsWith('`') ? inner.replaceAll('``', '`') : inner
}

export function isWord(token: SqlToken | undefined, ...words: readonly string[]): boolean {
  return token?.kind === 'word' && words.includes(token.text.toUpperCase())
}

/** Statements between semicolons, with their tokens; empty ones are left out. */
export function splitStatements(sql: string): { text: string; tokens: SqlToken[] }[] {
  const statements: { text: string; tokens: SqlToken[] }[] = []
  let tokens: SqlToken[] = []
  const finish = () => {
    const first = tokens[0]
    const last = tokens.at(-1)
    if (first !== undefined && last !== undefined) {
      statements.push({ text: sql.slice(first.start, last.end), tokens })
    }
    tokens = []
  }
  for (const token of sqlTokens(sql)) {
    if (token.text === ';') finish()
    else tokens.push(token)
  }
  finish()
  return statements
}

/** A name as SQL text. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** A text as an SQL string. */
export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
