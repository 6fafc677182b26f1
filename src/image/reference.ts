import { isIP } from 'node:net'
import { type Digest, parseDigest } from './digest.ts'
import { ImageError } from './errors.ts'

/** Where an image is: `registry/repository`, and which one of that repository. */
export interface ImageReference {
  /** `host[:port]`, as in the reference: `docker.io`, `127.0.0.1:5000`, `[::1]:5000`. */
  readonly registry: string
  /** `library/busybox`, without tag or digest. */
  readonly repository: string
  /** Absent only when a digest is given. */
  readonly tag?: string
  /** Wins over the tag. */
  readonly digest?: Digest
}

const DOCKER_HUB = 'docker.io'
const REFERENCE_CHARS_MAX = 512
const REPOSITORY_CHARS_MAX = 255
/** Source: OCI distribution-spec 1.1, "Pulling manifests". */
const REPOSITORY =
  /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/
const HOST = /^(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::(\d{1,5}))?$/

/**
 * Reads `[host[:port]/]name[:tag][@digest]`. The first component is a host when it has a dot or a
 * colon, or is `localhost`; without a host it is Docker Hub, where a name of one component is below
 * `library/`. Neither tag nor digest: the tag is `latest`.
 *
 * @throws ImageError image.reference_bad, image.digest_bad
 */
export function parseReference(text: string): ImageReference {
  if (text.length > REFERENCE_CHARS_MAX) throw bad(text.slice(0, 64), 'it is too long')
  const at = text.indexOf('@')
  const named = at < 0 ? text : text.slice(0, at)
  const digest = at < 0 ? undefined : parseDigest(text.slice(at + 1))
  const slash = named.indexOf('/')
  const first = slash < 0 ? '' : named.slice(0, slash)
  const hasHost = first === 'localhost' || /[.:]/.test(first) || /[A-Z]/.test(first)
  const registry = hasHost ? hubAlias(first.toLowerCase()) : DOCKER_HUB
  if (hasHost && !isHost(first)) throw bad(text, 'the host is malformed')
  const rest = hasHost ? named.slice(slash + 1) : named
  const colon = rest.indexOf(':')
  const path = colon < 0 ? rest : rest.slice(0, colon)
  const tag = colon < 0 ? (digest === undefined ? 'latest' : undefined) : rest.slice(colon + 1)
  if (tag !== undefined && !TAG.test(tag)) throw bad(text, 'the tag is malformed')
  const repository = registry === DOCKER_HUB && !path.includes('/') ? `library/${path}` : path
  if (repository.length > REPOSITORY_CHARS_MAX || !REPOSITORY.test(repository)) {
    throw bad(text, 'the name is malformed')
  }
  return {
    registry,
    repository,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  }
}

/** The reference in full; `parseReference` gives the same one back. */
export function formatReference({ registry, repository, tag, digest }: ImageReference): string {
  const tagged = tag === undefined ? '' : `:${tag}`
  return `${registry}/${repository}${tagged}${digest === undefined ? '' : `@${digest}`}`
}

/** Docker Hub answers at another name than the one in references. */
export const apiHostOf = (registry: string): string =>
  registry === DOCKER_HUB ? 'registry-1.docker.io' : registry

/** Only what never leaves this machine: literal loopback addresses and `localhost`. */
export function isLoopback(host: string): boolean {
  const name = host.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')
  return name === 'localhost' || name === '::1' || (isIP(name) === 4 && name.startsWith('127.'))
}

function isHost(text: string): boolean {
  const match = HOST.exec(text)
  return match !== null && !text.includes('..') && Number(match[1] ?? 1) <= 65_535
}

const hubAlias = (host: string) =>
  host === 'index.docker.io' || host === 'registry-1.docker.io' ? DOCKER_HUB : host

const bad = (reference: string, why: string) =>
  new ImageError('image.reference_bad', {
    what: 'not an image reference',
    values: { reference, why },
    fix: 'write one like debian:12, ghcr.io/org/app:v3 or host:5000/app@sha256:...',
  })
