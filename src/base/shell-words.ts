/**
 * The arguments of a command line as a POSIX shell splits it: quotes and backslashes, but no
 * variables, globs or operators. Source: POSIX.1-2024, 2.2 Quoting.
 * Undefined when a quote is not closed.
 */
export function shellWords(line: string): string[] | undefined {
  const words: string[] = []
  let word: string | undefined
  let at = 0
  while (at < line.length) {
    const char = line[at] ?? ''
    at += 1
    if (/\s/.test(char)) {
      if (word !== undefined) words.push(word)
      word = undefined
    } else if (char === "'" || char === '"') {
      const quoted = readQuoted(line, at, char)
      if (quoted === undefined) return undefined
      word = `${word ?? ''}${quoted.text}`
      at = quoted.end
    } else if (char === '\\') {
      word = `${word ?? ''}${line[at] ?? ''}`
      at += 1
    } else {
      word = `${word ?? ''}${char}`
    }
  }
  if (word !== undefined) words.push(word)
  return words
}

function readQuoted(
  line: string,
  start: number,
  quote: string,
): { text: string; end: number } | undefined {
  let text = ''
  for (let at = start; at < line.length; at += 1) {
    const char = line[at] ?? ''
    if (char === quote) return { text, end: at + 1 }
    const next = line[at + 1] ?? ''
    if (quote === '"' && char === '\\' && /["\\$`]/.test(next)) {
      text += next
      at += 1
    } else {
      text += char
    }
  }
  return undefined
}
