import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import type { Log } from '#base'
import { HostApiError } from './errors.ts'

const KEY_BYTES = 32
/** How far the clocks of two hosts may be apart. */
const SKEW_MS_MAX = 5 * 60_000

/** What of a request is signed. */
export interface SignedRequest {
  /** Unix milliseconds, of the caller's clock. */
  readonly atMs: number
  readonly path: string
  readonly requestId: string
  readonly body: string
}

/** Between two looks at the file. */
const LOOK_MS = 1_000

/**
 * The secret that all hosts of a cluster share until WireGuard tells who may talk to them. It never
 * travels: each request carries an HMAC-SHA-256 of what it asks. It proves who asks, and hides nothing:
 * the backhaul must be a network that only hosts can listen on.
 *
 * Several keys are taken while it is changed: the last one signs.
 */
export class ClusterKey {
  #keys: readonly Buffer[]
  #file: KeyFile | undefined

  /** The last one signs. */
  constructor(...keys: readonly Buffer[]) {
    this.#keys = keys
  }

  /**
   * One key a line. A file that changes is read again while it is used; one that then cannot be read is
   * told, and what it said before counts.
   *
   * @throws HostApiError host.key_bad
   */
  static read(path: string, log?: Log): ClusterKey {
    const key = new ClusterKey(...keysIn(path))
    key.#file = { path, log, changedMs: changedMs(path), lookedMs: performance.now() }
    return key
  }

  sign(request: SignedRequest): string {
    this.#readAgain()
    return signature(this.#keys.at(-1), request)
  }

  /** @throws HostApiError host.denied */
  check(request: SignedRequest, given: string, nowMs: number): void {
    this.#readAgain()
    const bytes = Buffer.from(given, 'hex')
    const isOurs = this.#keys.some((key) => {
      const expected = Buffer.from(signature(key, request), 'hex')
      return bytes.length === expected.length && timingSafeEqual(bytes, expected)
    })
    if (!isOurs) throw denied('unauthenticated: not signed with the key of this cluster')
    if (!(Math.abs(nowMs - request.atMs) <= SKEW_MS_MAX)) {
      throw denied('unauthenticated: the clock of the caller is more than 5 minutes off')
    }
  }

  #readAgain(): void {
    const file = this.#file
    if (file === undefined || performance.now() - file.lookedMs < LOOK_MS) return
    file.lookedMs = performance.now()
    try {
      const nowMs = changedMs(file.path)
      if (nowMs === file.changedMs) return
      this.#keys = keysIn(file.path)
      file.changedMs = nowMs
      file.log?.info({ file: file.path, keys: this.#keys.length }, 'the cluster key was read again')
    } catch (err) {
      file.log?.error({ err }, 'the cluster key cannot be read again; what it was counts on')
    }
  }
}

interface KeyFile {
  readonly path: string
  readonly log: Log | undefined
  changedMs: number
  lookedMs: number
}

const changedMs = (path: string) => statSync(path).mtimeMs

function signature(key: Buffer | undefined, request: SignedRequest): string {
  const { atMs, path, requestId, body } = request
  const digest = createHash('sha256').update(body).digest('hex')
  return createHmac('sha256', key ?? Buffer.alloc(0))
    .update(`godwit-host-1\n${atMs}\n${path}\n${requestId}\n${digest}`)
    .digest('hex')
}

function keysIn(file: string): Buffer[] {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    throw keyBad(file, 'the cluster key cannot be read', cause)
  }
  const lines = text.split('\n').map((line) => line.trim())
  const keys = lines.filter((line) => line !== '')
  if (keys.length === 0 || keys.some((key) => !/^[0-9a-f]{64}$/.test(key))) {
    throw keyBad(file, 'this is no cluster key')
  }
  return keys.map((key) => Buffer.from(key, 'hex'))
}

const denied = (what: string) => new HostApiError('host.denied', { what })

const keyBad = (file: string, what: string, cause?: unknown) =>
  new HostApiError('host.key_bad', {
    what,
    values: { file },
    fix: `make one with: openssl rand -hex ${KEY_BYTES}`,
    ...(cause === undefined ? {} : { cause }),
  })
