import { type Clock, type Random, systemClock, systemRandom } from '#base'
import { checkDigest, type Digest, digestOf, hashFor } from './digest.ts'
import { ImageError } from './errors.ts'
import {
  demandSuccess,
  exchange,
  isTransient,
  readAll,
  readBody,
  retryTransient,
  type Waits,
} from './http-exchange.ts'
import { ACCEPTED_TYPES, type Descriptor, MANIFEST_BYTES_MAX } from './manifest.ts'
import { apiHostOf, type ImageReference, isLoopback } from './reference.ts'
import {
  basicHeader,
  type Credentials,
  parseChallenge,
  parseToken,
  type Token,
  tokenUrl,
} from './registry-auth.ts'

export interface RegistryOptions {
  /** By registry as in references (`docker.io`); a mirror's own by the mirror's host. */
  readonly credentials?: (registry: string) => Credentials | undefined
  /** Hosts (`host[:port]`) to ask before the registry itself, in order. */
  readonly mirrors?: (registry: string) => readonly string[]
  /**
   * Hosts (`host:port`) that are asked in place of a registry, in order, by plain HTTP: those of a private network.
   * Undefined: the registry itself is asked.
   */
  readonly inPlaceOf?: (
    registry: string,
    signal?: AbortSignal,
  ) => Promise<readonly string[] | undefined>
  /** Longest time without a byte. @default 30_000 */
  readonly stallMs?: number
  /** Tries of one request at one host. @default 4 */
  readonly attemptsMax?: number
  /** @default { baseMs: 500, capMs: 10_000 } */
  readonly backoff?: { readonly baseMs: number; readonly capMs: number }
  readonly clock?: Clock
  readonly random?: Random
}

export interface FetchedManifest {
  readonly bytes: Buffer
  readonly digest: Digest
  readonly mediaType: string | undefined
}

const TOKEN_BYTES_MAX = 1 << 20
const TOKENS_MAX = 256

type Place = Pick<ImageReference, 'registry' | 'repository'>

/** Pulls from any registry that speaks the OCI distribution protocol. Source: distribution-spec 1.1. */
export class RegistryClient {
  readonly waits: Waits
  readonly #options: RegistryOptions
  /** By host and repository: what the last challenge there led to. */
  readonly #tokens = new Map<string, Token>()

  constructor(options: RegistryOptions = {}) {
    this.#options = options
    this.waits = {
      clock: options.clock ?? systemClock,
      random: options.random ?? systemRandom,
      stallMs: options.stallMs ?? 30_000,
      attemptsMax: options.attemptsMax ?? 4,
      backoff: options.backoff ?? { baseMs: 500, capMs: 10_000 },
    }
  }

  /**
   * The manifest or index that `reference` names, proven to be what its digest says when it has one.
   * @throws ImageError
   */
  manifest(reference: ImageReference, signal?: AbortSignal): Promise<FetchedManifest> {
    const name = reference.digest ?? reference.tag ?? 'latest'
    return this.#atEveryHost(
      reference.registry,
      (host) =>
        retryTransient(() => this.#manifestAt(host, reference, name, signal), this.waits, signal),
      signal,
    )
  }

  /**
   * Bytes of a blob from `offset` on, from the hosts in order. What arrives is not yet proven.
   * @returns where the bytes begin: 0 when the registry has no ranges.
   */
  async blob(
    place: Place,
    { digest, size }: Descriptor,
    { offset = 0, skipHosts = 0 }: { offset?: number; skipHosts?: number },
    signal?: AbortSignal,
  ): Promise<{ offset: number; bytes: AsyncGenerator<Uint8Array> }> {
    const hosts = await this.#hostsOf(place.registry, signal)
    for (let index = 0; ; index += 1) {
      const host = hosts[(skipHosts + index) % hosts.length] ?? place.registry
      try {
        return await this.#blobAt(host, place, { digest, size }, offset, signal)
      } catch (error) {
        signal?.throwIfAborted()
        if (index + 1 >= hosts.length || !isMirrorsFault(error)) throw error
      }
    }
  }

  async #blobAt(
    host: string,
    place: Place,
    { digest, size }: Pick<Descriptor, 'digest' | 'size'>,
    offset: number,
    signal?: AbortSignal,
  ) {
    const range: Record<string, string> =
      offset > 0 && offset < size ? { range: `bytes=${offset}-${size - 1}` } : {}
    const path = `/v2/${place.repository}/blobs/${digest}`
    const response = await this.#request(host, place, path, range, signal)
    await demandSuccess(response, `${host}${path}`)
    const begins =
      response.status === 206
        ? Number(/^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')?.[1])
        : 0
    if (begins !== 0 && begins !== offset) {
      await response.body?.cancel()
      throw new ImageError('image.registry_failed', {
        what: 'the registry sends another range than asked for',
        values: { offset, begins },
      })
    }
    return { offset: begins, bytes: readBody(response, this.waits, signal) }
  }

  async #manifestAt(host: string, place: Place, name: string, signal?: AbortSignal) {
    const path = `/v2/${place.repository}/manifests/${name}`
    const response = await this.#request(
      host,
      place,
      path,
      { accept: ACCEPTED_TYPES.join(', ') },
      signal,
    )
    await demandSuccess(response, `${host}${path}`)
    const bytes = await readAll(response, MANIFEST_BYTES_MAX, this.waits, signal)
    const mediaType = response.headers.get('content-type') ?? undefined
    if (!name.includes(':')) return { bytes, digest: digestOf(bytes), mediaType }
    const digest = name as Digest
    const [algorithm] = digest.split(':')
    checkDigest(digest, `${algorithm}:${hashFor(digest).update(bytes).digest('hex')}`, { host })
    return { bytes, digest, mediaType }
  }

  async #hostsOf(registry: string, signal?: AbortSignal): Promise<readonly string[]> {
    const instead = await this.#options.inPlaceOf?.(registry, signal)
    if (instead !== undefined) return instead.length === 0 ? [registry] : instead
    return [...(this.#options.mirrors?.(registry) ?? []), registry]
  }

  /** A mirror that lacks the image, refuses or fails is passed over; the registry has the last word. */
  async #atEveryHost<T>(
    registry: string,
    call: (host: string) => Promise<T>,
    signal?: AbortSignal,
  ) {
    const hosts = await this.#hostsOf(registry, signal)
    for (const mirror of hosts.slice(0, -1)) {
      try {
        return await call(mirror)
      } catch (error) {
        signal?.throwIfAborted()
        if (!isMirrorsFault(error)) throw error
      }
    }
    return await call(hosts.at(-1) ?? registry)
  }

  /** One request, with the registry's challenge met once. */
  async #request(
    host: string,
    place: Place,
    path: string,
    headers: Record<string, string>,
    signal?: AbortSignal,
  ) {
    const api = apiHostOf(host)
    const instead = await this.#options.inPlaceOf?.(place.registry, signal)
    const isPrivate = instead?.includes(host) === true
    const url = new URL(`${isPrivate || isLoopback(api) ? 'http' : 'https'}://${api}${path}`)
    const origin = isPrivate ? url.origin : undefined
    const key = `${host}/${place.repository}`
    const token = this.#tokens.get(key)
    const isFresh = token !== undefined && token.staleAtMs > this.waits.clock.monotonicMs()
    const first = await exchange(
      url,
      { ...headers, ...(isFresh ? { authorization: token.header } : {}) },
      this.waits,
      signal,
      origin,
    )
    if (first.status !== 401) return first
    const authorization = await this.#meetChallenge(host, place, first, signal)
    if (authorization === undefined) return first
    await first.body?.cancel()
    return await exchange(url, { ...headers, authorization }, this.waits, signal, origin)
  }

  async #meetChallenge(host: string, place: Place, refused: Response, signal?: AbortSignal) {
    const key = `${host}/${place.repository}`
    this.#tokens.delete(key)
    const challenge = parseChallenge(refused.headers.get('www-authenticate') ?? '')
    const credentials = this.#options.credentials?.(host)
    if (challenge === undefined) return undefined
    if (challenge.scheme === 'basic') {
      if (credentials === undefined) return undefined
      return this.#keep(key, { header: basicHeader(credentials), staleAtMs: Infinity })
    }
    const headers: Record<string, string> =
      credentials === undefined ? {} : { authorization: basicHeader(credentials) }
    const response = await exchange(
      tokenUrl(challenge, place.repository),
      headers,
      this.waits,
      signal,
    )
    await demandSuccess(response, challenge.realm)
    const bytes = await readAll(response, TOKEN_BYTES_MAX, this.waits, signal)
    return this.#keep(key, parseToken(bytes, this.waits.clock.monotonicMs()))
  }

  #keep(key: string, token: Token): string {
    const [oldest] = this.#tokens.keys()
    if (this.#tokens.size >= TOKENS_MAX && oldest !== undefined) this.#tokens.delete(oldest)
    this.#tokens.set(key, token)
    return token.header
  }
}

const MIRROR_CODES: ReadonlySet<string> = new Set([
  'image.not_found',
  'image.unauthorized',
  'image.forbidden',
  'image.registry_bad',
])

const isMirrorsFault = (error: unknown) =>
  isTransient(error) || (error instanceof ImageError && MIRROR_CODES.has(error.code))
