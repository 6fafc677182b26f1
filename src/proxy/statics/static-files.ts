/** One entry of a machine's `statics`. */
export interface StaticRule {
  /** Absolute, without a slash at its end, inside the machine or the bucket. */
  readonly root: string
  /** Begins with a slash and has none at its end: '' is every path. */
  readonly prefix: string
  /** Served for a path that is a folder's. */
  readonly index: string | undefined
  /** The files are in a bucket, not in the machine. */
  readonly bucket: string | undefined
}

/** A file that a request may be for: whether it is there, the machine knows. */
export interface StaticPath {
  readonly rule: StaticRule
  /** Absolute, of the file. */
  readonly path: string
}

/** What fly.toml allows. */
export const STATICS_MAX = 10
const PATH_CHARS_MAX = 2_048

/**
 * Which of a machine's files a request is for. The longest prefix that fits wins, of equal ones the first. No I/O.
 */
export class StaticFiles {
  /** The longest prefix first. */
  readonly #rules: readonly StaticRule[]

  private constructor(rules: readonly StaticRule[]) {
    this.#rules = rules
  }

  /** @param value `config.statics` as somebody wrote it. @returns undefined: there are none */
  static of(value: unknown): StaticFiles | undefined {
    if (!Array.isArray(value) || value.length === 0) return undefined
    const rules = value.slice(0, STATICS_MAX).flatMap((one) => ruleOf(one) ?? [])
    if (rules.length === 0) return undefined
    return new StaticFiles(rules.toSorted((a, b) => b.prefix.length - a.prefix.length))
  }

  /** @param target path and query, as the client sent them */
  find(target: string): StaticPath | undefined {
    const query = target.indexOf('?')
    const path = query < 0 ? target : target.slice(0, query)
    for (const rule of this.#rules) {
      if (!path.startsWith(rule.prefix)) continue
      const rest = path.slice(rule.prefix.length)
      if (rest !== '' && !rest.startsWith('/')) continue
      const file = fileWithin(rest, rule.index)
      return file === undefined ? undefined : { rule, path: rule.root + file }
    }
    return undefined
  }
}

function ruleOf(value: unknown): StaticRule | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { guest_path, url_prefix, index_document, tigris_bucket } = value as Record<string, unknown>
  if (typeof guest_path !== 'string' || typeof url_prefix !== 'string') return undefined
  const isWhole = guest_path.startsWith('/') && !guest_path.split('/').includes('..')
  if (!url_prefix.startsWith('/') || (!isWhole && tigris_bucket === undefined)) return undefined
  const index =
    typeof index_document === 'string' && segmentsOf(index_document)?.length === 1
      ? index_document
      : undefined
  return {
    root: guest_path.replace(/\/+$/, ''),
    prefix: url_prefix.replace(/\/+$/, ''),
    index,
    bucket: typeof tigris_bucket === 'string' ? tigris_bucket : undefined,
  }
}

/**
 * The path below a root, decoded. What may be read in two ways is no file's: `.` and `..`, empty segments, encoded
 * slashes, backslashes and control characters.
 */
function fileWithin(rest: string, index: string | undefined): string | undefined {
  const isFolder = rest === '' || rest.endsWith('/')
  if (isFolder && index === undefined) return undefined
  const inner = rest.replace(/^\//, '').replace(/\/$/, '')
  const segments = inner === '' ? [] : segmentsOf(inner)
  if (segments === undefined) return undefined
  const path = [...segments, ...(isFolder ? [index] : [])].map((one) => `/${one}`).join('')
  return path.length > PATH_CHARS_MAX ? undefined : path
}

function segmentsOf(path: string): string[] | undefined {
  const segments: string[] = []
  for (const raw of path.split('/')) {
    let segment: string
    try {
      segment = decodeURIComponent(raw)
    } catch {
      return undefined // no UTF-8
    }
    const isOdd = /[\u0000-\u001f\u007f/\\]/.test(segment)
    if (segment === '' || segment === '.' || segment === '..' || isOdd) return undefined
    segments.push(segment)
  }
  return segments
}
