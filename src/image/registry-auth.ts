import { type Static, Type } from 'typebox'
import { ImageError } from './errors.ts'
import { checkSchema, parseJson } from './manifest.ts'

export interface Credentials {
  readonly username: string
  readonly password: string
}

/** What a registry asks for. Source: RFC 9110, section 11.6.1; the distribution project's token.md. */
export type Challenge =
  | { readonly scheme: 'basic' }
  | { readonly scheme: 'bearer'; readonly realm: string; readonly service?: string }

const HEADER_CHARS_MAX = 4096

/** The challenge of a WWW-Authenticate header that we can meet; undefined when there is none. */
export function parseChallenge(header: string): Challenge | undefined {
  const text = header.slice(0, HEADER_CHARS_MAX)
  const bearer = /(?:^|,)\s*bearer\s+(.*)$/i.exec(text)
  if (bearer !== null) {
    const parameters = new Map<string, string>()
    for (const [, key = '', quoted, token] of (bearer[1] ?? '').matchAll(
      /([a-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/gi,
    )) {
      parameters.set(key.toLowerCase(), quoted?.replaceAll(/\\(.)/g, '$1') ?? token ?? '')
    }
    const realm = parameters.get('realm')
    const service = parameters.get('service')
    if (realm !== undefined) return { scheme: 'bearer', realm, ...(service ? { service } : {}) }
  }
  return /(?:^|,)\s*basic(?:\s|$)/i.test(text) ? { scheme: 'basic' } : undefined
}

export const basicHeader = ({ username, password }: Credentials): string =>
  `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`

/** Where to ask for a token that may pull `repository`. */
export function tokenUrl(challenge: Challenge & { scheme: 'bearer' }, repository: string): URL {
  let url: URL
  try {
    url = new URL(challenge.realm)
  } catch (cause) {
    throw new ImageError('image.registry_bad', {
      what: 'the registry names a token server that is no URL',
      values: { realm: challenge.realm },
      cause,
    })
  }
  if (challenge.service !== undefined) url.searchParams.set('service', challenge.service)
  url.searchParams.set('scope', `repository:${repository}:pull`)
  return url
}

export interface Token {
  readonly header: string
  /** Monotonic milliseconds; not used from then on. */
  readonly staleAtMs: number
}

const TokenSchema = Type.Object({
  token: Type.Optional(Type.String({ minLength: 1 })),
  access_token: Type.Optional(Type.String({ minLength: 1 })),
  expires_in: Type.Optional(Type.Number()),
})
/** When the answer names none. Source: the distribution project's token.md. */
const LIFETIME_MS_DEFAULT = 60_000
/** A token that dies on the way is worth less than a new one. */
const FRESH_RATIO = 0.8

/** @throws ImageError image.registry_bad */
export function parseToken(bytes: Uint8Array, nowMs: number): Token {
  const answer: Static<typeof TokenSchema> = checkSchema(
    TokenSchema,
    parseJson(bytes, 'token'),
    'token',
  )
  const token = answer.token ?? answer.access_token
  if (token === undefined || /[\r\n]/.test(token)) {
    throw new ImageError('image.registry_bad', { what: 'the token server gave no token' })
  }
  const lifetimeMs = Math.max(0, (answer.expires_in ?? 0) * 1000) || LIFETIME_MS_DEFAULT
  return { header: `Bearer ${token}`, staleAtMs: nowMs + lifetimeMs * FRESH_RATIO }
}
