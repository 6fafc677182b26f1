/**
 * A plain reader of HTTP/1.1 requests, unlike the proxy's in every way, for tests: it reads what came to a
 * machine in one of several manners that real servers have. Bytes that all manners read alike smuggle
 * nothing.
 */
export interface Manner {
  readonly name: string
  /** A bare LF ends a line. */
  readonly bareLf: boolean
  /** Which counts when both lengths are there. */
  readonly prefers: 'chunked' | 'length'
  /** `Transfer-Encoding: x chunked`, and names with blanks before the colon, count. */
  readonly lax: boolean
}

// biome-ignore format: a table
export const manners: readonly Manner[] = [
  { name: 'by the book', bareLf: false, prefers: 'chunked', lax: false },
  { name: 'bare LF', bareLf: true, prefers: 'chunked', lax: false },
  { name: 'length wins', bareLf: true, prefers: 'length', lax: false },
  { name: 'lax', bareLf: true, prefers: 'chunked', lax: true },
  { name: 'lax, length wins', bareLf: true, prefers: 'length', lax: true },
]

export interface ReadRequest {
  readonly line: string
  readonly fields: readonly (readonly [name: string, value: string])[]
  readonly body: string
}

export interface Reading {
  readonly requests: readonly ReadRequest[]
  /** Bytes behind the last whole request. */
  readonly rest: string
  /** It is no request at all: the rest cannot become one. */
  readonly isBad: boolean
}

export function readRequests(text: string, manner: Manner): Reading {
  const requests: ReadRequest[] = []
  let rest = text
  for (;;) {
    rest = rest.replace(/^(?:\r\n)+/, '')
    const one = readOne(rest, manner)
    if (one === 'more') return { requests, rest, isBad: false }
    if (one === 'bad') return { requests, rest, isBad: true }
    requests.push(one.request)
    rest = rest.slice(one.bytes)
  }
}

function readOne(
  text: string,
  manner: Manner,
): { request: ReadRequest; bytes: number } | 'more' | 'bad' {
  const end = (manner.bareLf ? /\r?\n\r?\n/ : /\r\n\r\n/).exec(text)
  if (end === null) return 'more'
  const lines = text.slice(0, end.index).split(manner.bareLf ? /\r?\n/ : '\r\n')
  const [line = '', ...fieldTexts] = lines
  if (!/^\S+ \S+ HTTP\/1\.[01]$/.test(line)) return 'bad'
  const fields = fieldTexts.map((field) => {
    const colon = field.indexOf(':')
    const name = field.slice(0, Math.max(colon, 0))
    return [(manner.lax ? name.trim() : name).toLowerCase(), field.slice(colon + 1).trim()] as const
  })
  const bodyStart = end.index + end[0].length
  const body = readBody(text.slice(bodyStart), fields, manner)
  if (body === 'more' || body === 'bad') return body
  return { request: { line, fields, body: body.data }, bytes: bodyStart + body.bytes }
}

type Body = { data: string; bytes: number } | 'more' | 'bad'

function readBody(text: string, fields: ReadRequest['fields'], manner: Manner): Body {
  const values = (name: string) => fields.filter(([one]) => one === name).map(([, value]) => value)
  const coding = values('transfer-encoding').join(',').toLowerCase()
  const isChunked = manner.lax ? coding.includes('chunked') : coding === 'chunked'
  const [length] = values('content-length')
  if (isChunked && (manner.prefers === 'chunked' || length === undefined)) return readChunks(text)
  const count = length === undefined ? 0 : Number.parseInt(length, 10)
  if (Number.isNaN(count)) return 'bad'
  return text.length < count ? 'more' : { data: text.slice(0, count), bytes: count }
}

function readChunks(text: string): Body {
  let data = ''
  let at = 0
  for (;;) {
    const line = /^([0-9a-fA-F]+)[^\n]*\n/.exec(text.slice(at, at + 4096))
    if (line === null) return text.length - at > 4096 ? 'bad' : 'more'
    const size = Number.parseInt(line[1] ?? '', 16)
    at += line[0].length
    if (size === 0) {
      const trailer = /^(?:[^\r\n]+\r?\n)*\r?\n/.exec(text.slice(at))
      return trailer === null ? 'more' : { data, bytes: at + trailer[0].length }
    }
    if (text.length < at + size + 2) return 'more'
    data += text.slice(at, at + size)
    at += size
    at += text[at] === '\r' ? 2 : 1
  }
}
