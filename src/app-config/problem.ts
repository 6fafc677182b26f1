/** What is wrong with a configuration, or would surprise its author. */
export interface Problem {
  /** error: it cannot be deployed. warning: it can, and does less or other than it seems to say. */
  readonly severity: 'error' | 'warning'
  /** JSON Pointer (RFC 6901) in the canonical form. */
  readonly path: string
  readonly what: string
}

/** Collects what checks find. */
export class Problems {
  readonly found: Problem[] = []

  error(path: string, what: string): void {
    this.found.push({ severity: 'error', path, what })
  }

  warn(path: string, what: string): void {
    this.found.push({ severity: 'warning', path, what })
  }

  /** An error unless the value is absent or one of those allowed. */
  oneOf(path: string, value: string | undefined, allowed: readonly string[]): void {
    if (value === undefined || allowed.includes(value)) return
    this.error(path, `is '${value}'; use ${list(allowed)}`)
  }

  /** An error unless the value is absent or within bounds. */
  within(path: string, value: number | undefined, min: number, max: number): void {
    if (value === undefined || (value >= min && value <= max)) return
    this.error(path, `is ${value}; use ${min} to ${max}`)
  }
}

/** `a, b or c`. */
export function list(words: readonly string[]): string {
  return words.length < 2
    ? words.join('')
    : `${words.slice(0, -1).join(', ')} or ${words[words.length - 1]}`
}
