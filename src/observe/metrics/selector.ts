import { RE2JS } from 're2js'
import { ObserveError } from '../errors.ts'
import type { Series } from './metric-family.ts'

/** Which series are meant: all matchers hold. A label that is not there is as if it were empty. */
export interface Selector {
  readonly matchers: readonly Matcher[]
}

export interface Matcher {
  readonly label: string
  readonly operator: '=' | '!=' | '=~' | '!~'
  readonly text: string
  readonly holds: (value: string) => boolean
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*/
const LABEL_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*/
const OPERATOR = /^(?:=~|!~|!=|=)/
const STRING = /^(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)/
const BLANKS = /^[ \t\r\n]*/
const CHARS_MAX = 2_048
const MATCHERS_MAX = 32
const SELECTORS_MAX = 32
const NAME_LABEL = '__name__'

/**
 * Reads what `match[]` has: `name`, `name{label="value"}`, `{__name__=~"fly_.*"}`. Expressions match the whole value,
 * in the syntax of RE2, whose time is bound by the length of what it reads. Source: Prometheus, querying basics.
 *
 * @throws ObserveError observe.selector_bad
 */
export function parseSelector(text: string): Selector {
  if (text.length > CHARS_MAX) throw bad(text, `it is longer than ${CHARS_MAX} characters`)
  const matchers: Matcher[] = []
  let rest = text.trim()
  const take = (pattern: RegExp): string | undefined => {
    const [found] = pattern.exec(rest) ?? []
    if (found === undefined) return undefined
    rest = rest.slice(found.length).replace(BLANKS, '')
    return found
  }
  const name = take(NAME)
  if (name !== undefined) matchers.push(newMatcher(text, NAME_LABEL, '=', name))
  if (take(/^\{/) !== undefined) {
    while (take(/^\}/) === undefined) {
      const label = take(LABEL_NAME)
      const operator = take(OPERATOR) as Matcher['operator'] | undefined
      const value = take(STRING)
      if (label === undefined || operator === undefined || value === undefined) {
        throw bad(text, 'a matcher is not label, operator and text in quotes')
      }
      if (matchers.length >= MATCHERS_MAX) throw bad(text, `more than ${MATCHERS_MAX} matchers`)
      matchers.push(newMatcher(text, label, operator, unquoted(text, value)))
      if (take(/^,/) === undefined && !rest.startsWith('}')) throw bad(text, 'it is not closed')
    }
  }
  if (rest !== '') throw bad(text, `nothing is known of ${JSON.stringify(rest.slice(0, 40))}`)
  if (matchers.every(({ holds }) => holds(''))) {
    throw bad(text, 'at least one matcher must not match an empty value')
  }
  return { matchers }
}

/** @throws ObserveError observe.selector_bad: one of them, or there are none or too many */
export function parseSelectors(texts: readonly string[]): Selector[] {
  if (texts.length === 0 || texts.length > SELECTORS_MAX) {
    throw bad('', `there must be between 1 and ${SELECTORS_MAX} of them`)
  }
  return texts.map(parseSelector)
}

export const matchesAny = (selectors: readonly Selector[], series: Series): boolean =>
  selectors.some(({ matchers }) =>
    matchers.every(({ label, holds }) =>
      holds(label === NAME_LABEL ? series.name : (series.labels.get(label) ?? '')),
    ),
  )

function newMatcher(
  selector: string,
  label: string,
  operator: Matcher['operator'],
  text: string,
): Matcher {
  const around = { label, operator, text }
  if (operator === '=') return { ...around, holds: (value) => value === text }
  if (operator === '!=') return { ...around, holds: (value) => value !== text }
  const expression = compiled(selector, text)
  const isWanted = operator === '=~'
  return { ...around, holds: (value) => expression.matches(value) === isWanted }
}

function compiled(selector: string, text: string): RE2JS {
  try {
    return RE2JS.compile(text)
  } catch (cause) {
    throw bad(selector, `${JSON.stringify(text)} is no regular expression of RE2`, cause)
  }
}

function unquoted(selector: string, quoted: string): string {
  const text = quoted.slice(1, -1)
  if (quoted.startsWith('`') || !text.includes('\\')) return text
  return text.replace(/\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)/g, (_all, what: string) => {
    const known = ESCAPES[what]
    if (known !== undefined) return known
    if (what.length > 1) return String.fromCharCode(Number.parseInt(what.slice(1), 16))
    throw bad(selector, `\\${what} stands for nothing`)
  })
}

const ESCAPES: Readonly<Record<string, string>> = {
  ...{ n: '\n', r: '\r', t: '\t', '\\': '\\', '"': '"', "'": "'" },
  ...{ a: '\x07', b: '\b', f: '\f', v: '\v' },
}

const bad = (selector: string, why: string, cause?: unknown) =>
  new ObserveError('observe.selector_bad', {
    what: `this selects no series: ${why}`,
    values: { selector: selector.slice(0, CHARS_MAX) },
    fix: 'ask as in match[]=fly_instance_up{app="name"}',
    ...(cause === undefined ? {} : { cause }),
  })
