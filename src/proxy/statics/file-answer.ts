import { contentType } from 'mime-types'

export interface FileFacts {
  readonly path: string
  readonly bytes: number
  /** Seconds since 1970: SFTP knows no more. */
  readonly modifiedS: number
}

/** What of a file is to be said, and how. Header names are lower case. */
export interface FileAnswer {
  readonly status: 200 | 206 | 304 | 412 | 416
  readonly headers: Readonly<Record<string, string>>
  /** The bytes of the body, from `start` to before `end`: none when both are equal. */
  readonly start: number
  readonly end: number
}

export type HeaderOf = (name: string) => string | undefined

/**
 * The answer to a GET or HEAD of a file: conditions first, then a range. Several ranges get the whole file. No I/O.
 * Source: RFC 9110, sections 13.2.2 (order of conditions) and 14.2.
 */
export function answerFile(file: FileFacts, header: HeaderOf): FileAnswer {
  const { bytes, modifiedS, path } = file
  const tag = `"${modifiedS.toString(16)}-${bytes.toString(16)}"`
  const modified = new Date(modifiedS * 1000).toUTCString()
  const validators = { etag: tag, 'last-modified': modified, 'accept-ranges': 'bytes' }
  const none = { start: 0, end: 0 }
  const condition = conditionOf(header, tag, modifiedS)
  if (condition !== undefined) return { status: condition, headers: validators, ...none }
  const name = path.slice(path.lastIndexOf('/') + 1)
  const headers = { ...validators, 'content-type': contentType(name) || 'application/octet-stream' }
  const range = isRangeMeant(header('if-range'), tag, modified)
    ? rangeOf(header('range'), bytes)
    : undefined
  if (range === undefined) {
    return {
      status: 200,
      headers: { ...headers, 'content-length': `${bytes}` },
      start: 0,
      end: bytes,
    }
  }
  if (range === 'unsatisfiable') {
    return { status: 416, headers: { ...validators, 'content-range': `bytes */${bytes}` }, ...none }
  }
  const { start, end } = range
  const more = {
    'content-range': `bytes ${start}-${end - 1}/${bytes}`,
    'content-length': `${end - start}`,
  }
  return { status: 206, headers: { ...headers, ...more }, start, end }
}

function conditionOf(header: HeaderOf, tag: string, modifiedS: number): 304 | 412 | undefined {
  const match = header('if-match')
  const unmodified = secondsOf(header('if-unmodified-since'))
  if (match !== undefined) {
    if (!names(match, tag, false)) return 412
  } else if (unmodified !== undefined && modifiedS > unmodified) return 412
  const noneMatch = header('if-none-match')
  if (noneMatch !== undefined) return names(noneMatch, tag, true) ? 304 : undefined
  const since = secondsOf(header('if-modified-since'))
  return since !== undefined && modifiedS <= since ? 304 : undefined
}

/** @param isWeak `W/"x"` counts as `"x"` */
function names(list: string, tag: string, isWeak: boolean): boolean {
  return list.split(',').some((one) => {
    const text = one.trim()
    return text === '*' || text === tag || (isWeak && text === `W/${tag}`)
  })
}

function secondsOf(date: string | undefined): number | undefined {
  const ms = date === undefined ? Number.NaN : Date.parse(date)
  return Number.isNaN(ms) ? undefined : Math.floor(ms / 1000)
}

const isRangeMeant = (ifRange: string | undefined, tag: string, modified: string): boolean =>
  ifRange === undefined || ifRange.trim() === tag || ifRange.trim() === modified

function rangeOf(
  value: string | undefined,
  bytes: number,
): { start: number; end: number } | 'unsatisfiable' | undefined {
  const [, first = '', last = ''] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(value?.trim() ?? '') ?? []
  if (first === '' && last === '') return undefined // none, several, or nonsense
  if (first === '') {
    const length = Math.min(Number(last), bytes)
    return length === 0 ? 'unsatisfiable' : { start: bytes - length, end: bytes }
  }
  const start = Number(first)
  const end = last === '' ? bytes : Math.min(Number(last) + 1, bytes)
  if (last !== '' && Number(last) < start) return undefined
  return start >= bytes ? 'unsatisfiable' : { start, end }
}
