import type { Duplex } from 'node:stream'
import {
  type Clock,
  errorCode,
  type Random,
  retry,
  startDeadline,
  systemClock,
  systemRandom,
} from '#base'
import type {
  App,
  AppRelease,
  Certificate,
  IpAssignment,
  KeptImage,
  LogLine,
  NetworkPolicy,
  NewWireGuardPeer,
  Region,
  ReleaseStatus,
  Secret,
  Volume,
  WireGuardPeer,
} from './answers.ts'
import { ApiError, errorOfAnswer } from './errors.ts'
import { Exchange, type Received } from './exchange.ts'
import { MachinesClient } from './machines-client.ts'

export interface FlapsClientOptions {
  /** Of the API, such as `https://api.example.com`. */
  readonly url: string
  /** As `FlyV1 fm2_...`, or without the scheme. */
  readonly token: string
  /** PEM of an authority that is trusted beside the system's. */
  readonly ca?: string
  readonly userAgent?: string
  readonly clock?: Clock
  readonly random?: Random
}

export interface Call {
  readonly query?: Readonly<
    Record<string, string | number | boolean | readonly string[] | undefined>
  >
  readonly body?: unknown
  /** Sent as they are, in place of `body`. */
  readonly bytes?: Buffer
  /** Of the machine's lease. */
  readonly nonce?: string | undefined
  /** For the call with all its tries. @default 60,000 */
  readonly deadlineMs?: number
  readonly signal?: AbortSignal | undefined
}

export interface NewSshCertificate {
  /** `ssh-ed25519 AAAA...` */
  readonly public_key: string
  /** Users as whom it lets in. @default root, fly */
  readonly principals?: readonly string[]
  /** 1 to 72. @default 1 */
  readonly valid_hours?: number
}

export interface BlobProgress {
  /** Bytes from the beginning on. */
  readonly have: number
  readonly complete: boolean
}

const imagesOf = (app: string) => `/v1/apps/${encodeURIComponent(app)}/images`

const policiesOf = (app: string) => `/v1/apps/${encodeURIComponent(app)}/network_policies`
const peersOf = (org: string) => `/v1/orgs/${encodeURIComponent(org)}/wireguard_peers`

const DEADLINE_MS = 60_000
const CONNECT_MS = 30_000
/** Of streams to machines, in the `Upgrade` header. */
const STREAM_PROTOCOL = 'godwit-tcp'
const CERTIFICATES_MAX = 500
const BACKOFF = { baseMs: 200, capMs: 3_000 } as const

/**
 * The Machines API as a client sees it. A call is sent again only when the server did nothing yet, or
 * when it changes nothing; creating a machine is safe to repeat when it has a name.
 *
 * Every method throws ApiError: errors.ts names the codes.
 */
export class FlapsClient implements Disposable {
  readonly url: URL
  readonly #exchange: Exchange
  readonly #headers: Readonly<Record<string, string>>
  readonly clock: Clock
  readonly #random: Random

  constructor(options: FlapsClientOptions) {
    const {
      url,
      token,
      ca,
      userAgent = 'godwit',
      clock = systemClock,
      random = systemRandom,
    } = options
    this.url = parseUrl(url)
    this.#exchange = new Exchange(ca)
    this.#headers = {
      authorization: /^(FlyV1|Bearer) /i.test(token) ? token : `FlyV1 ${token}`,
      'user-agent': userAgent,
      accept: 'application/json',
    }
    this.clock = clock
    this.#random = random
  }

  /** The machines of an app. */
  machines(app: string): MachinesClient {
    return new MachinesClient(this, app)
  }

  /** @throws ApiError */
  async call<T>(method: string, path: string, call: Call = {}): Promise<T> {
    const { deadlineMs = DEADLINE_MS, signal, query = {} } = call
    const url = new URL(path, this.url)
    for (const [name, value] of Object.entries(query)) addParameter(url, name, value)
    const json = call.body === undefined ? undefined : JSON.stringify(call.body)
    const body = call.bytes ?? json
    const type = call.bytes === undefined ? 'application/json' : 'application/octet-stream'
    const sent = {
      method,
      url,
      headers: {
        ...this.#headers,
        ...(body === undefined ? {} : { 'content-type': type }),
        ...(call.nonce === undefined ? {} : { 'fly-machine-lease-nonce': call.nonce }),
      },
      body,
    }
    try {
      return await retry(
        async (tried) => answerOf<T>(method, path, await this.#exchange.send(sent, tried)),
        {
          operation: `${method} ${path}`,
          ...BACKOFF,
          deadlineMs,
          isTransient: (error) => mayRepeat(method, error),
          signal,
          clock: this.clock,
          random: this.#random,
        },
      )
    } catch (error) {
      if (signal?.aborted || errorCode(error) !== 'base.deadline_exceeded') throw error
      throw timedOut(method, path, deadlineMs)
    }
  }

  /**
   * A TCP connection to a port of a machine; port 22 is its SSH server.
   *
   * @throws ApiError api.failed: nothing listens there, or as `call`
   */
  async connect(app: string, machine: string, port: number, call: Call = {}): Promise<Duplex> {
    const path = `/v1/apps/${encodeURIComponent(app)}/machines/${encodeURIComponent(machine)}/connect`
    const url = new URL(path, this.url)
    addParameter(url, 'port', port)
    using deadline = startDeadline(`a connection to ${machine}`, call.deadlineMs ?? CONNECT_MS, {
      signal: call.signal,
      clock: this.clock,
    })
    const sent = { method: 'GET', url, headers: this.#headers, body: undefined }
    const answer = await this.#exchange.upgrade(sent, STREAM_PROTOCOL, deadline.signal)
    if (!('status' in answer)) return answer
    answerOf('GET', path, answer)
    throw new ApiError('api.answer_bad', { what: 'the server gives no streams' })
  }

  /** Signs an OpenSSH public key for the machines of an app, or of all apps of an organisation. */
  issueSshCertificate(
    of: { readonly app: string } | { readonly org: string },
    input: NewSshCertificate,
    call?: Call,
  ): Promise<{ certificate: string; expires_at: string }> {
    const owner =
      'app' in of ? `apps/${encodeURIComponent(of.app)}` : `orgs/${encodeURIComponent(of.org)}`
    return this.call('POST', `/v1/${owner}/ssh_certificates`, { ...call, body: input })
  }

  /** How much of a blob this app has brought. @param digest `sha256:...` */
  imageBlob(app: string, digest: string, call?: Call): Promise<BlobProgress> {
    return this.call('GET', `${imagesOf(app)}/blobs/${digest}`, call)
  }

  /** Brings the next piece of a blob. @throws ApiError api.conflict: it is not the next one */
  uploadImagePiece(
    app: string,
    { digest, size, offset }: { digest: string; size: number; offset: number },
    bytes: Buffer,
    call?: Call,
  ): Promise<BlobProgress> {
    const options = { ...call, bytes, query: { offset, size } }
    return this.call('POST', `${imagesOf(app)}/blobs/${digest}`, options)
  }

  /** Makes the blobs that were brought an image: its manifest. @returns how machines name it */
  createImage(
    app: string,
    manifest: Buffer,
    call?: Call,
  ): Promise<{ digest: string; image: string }> {
    return this.call('POST', imagesOf(app), { ...call, bytes: manifest })
  }

  /** Those that the gateway that answers has; the newest first. */
  async images(app: string, call?: Call): Promise<readonly KeptImage[]> {
    return (await this.call<{ images: KeptImage[] }>('GET', imagesOf(app), call)).images
  }

  /** @throws ApiError: a machine or the current release uses it */
  async deleteImage(app: string, digest: string, call?: Call): Promise<void> {
    await this.call('DELETE', `${imagesOf(app)}/${digest}`, call)
  }

  app(name: string, call?: Call): Promise<App> {
    return this.call('GET', `/v1/apps/${encodeURIComponent(name)}`, call)
  }

  async apps(org: string, call?: Call): Promise<readonly App[]> {
    const query = { org_slug: org }
    return (await this.call<{ apps: App[] }>('GET', '/v1/apps', { ...call, query })).apps
  }

  createApp(name: string, org: string, network?: string, call?: Call): Promise<App> {
    const body = { name, org_slug: org, ...(network === undefined ? {} : { network }) }
    return this.call('POST', '/v1/apps', { ...call, body })
  }

  async destroyApp(name: string, call?: Call): Promise<void> {
    const query = { force: true }
    await this.call('DELETE', `/v1/apps/${encodeURIComponent(name)}`, { ...call, query })
  }

  volumes(app: string, call?: Call): Promise<readonly Volume[]> {
    return this.call('GET', `/v1/apps/${encodeURIComponent(app)}/volumes`, call)
  }

  createVolume(app: string, volume: NewVolume, call?: Call): Promise<Volume> {
    return this.call('POST', `/v1/apps/${encodeURIComponent(app)}/volumes`, {
      ...call,
      body: volume,
    })
  }

  async destroyVolume(app: string, id: string, call?: Call): Promise<void> {
    await this.call('DELETE', `/v1/apps/${encodeURIComponent(app)}/volumes/${id}`, call)
  }

  extendVolume(
    app: string,
    id: string,
    sizeGb: number,
    call?: Call,
  ): Promise<{ volume: Volume; needs_restart: boolean }> {
    const path = `/v1/apps/${encodeURIComponent(app)}/volumes/${id}/extend`
    return this.call('PUT', path, { ...call, body: { size_gb: sizeGb } })
  }

  async ips(app: string, call?: Call): Promise<readonly IpAssignment[]> {
    const path = `/v1/apps/${encodeURIComponent(app)}/ip_assignments`
    return (await this.call<{ ips: IpAssignment[] }>('GET', path, call)).ips
  }

  assignIp(
    app: string,
    wanted: IpKind | (IpPlace & { readonly type: IpKind }),
    call?: Call,
  ): Promise<IpAssignment> {
    const path = `/v1/apps/${encodeURIComponent(app)}/ip_assignments`
    const body = typeof wanted === 'string' ? { type: wanted } : wanted
    return this.call('POST', path, { ...call, body })
  }

  async releaseIp(app: string, address: string, call?: Call): Promise<void> {
    const path = `/v1/apps/${encodeURIComponent(app)}/ip_assignments/${encodeURIComponent(address)}`
    await this.call('DELETE', path, call)
  }

  networkPolicies(app: string, call?: Call): Promise<readonly NetworkPolicy[]> {
    return this.call('GET', policiesOf(app), call)
  }

  /** A new one, or with an id in place of that one. */
  putNetworkPolicy(
    app: string,
    policy: Pick<NetworkPolicy, 'name' | 'selector' | 'rules'> & { id?: string },
    call?: Call,
  ): Promise<NetworkPolicy> {
    return this.call('POST', policiesOf(app), { ...call, body: policy })
  }

  async removeNetworkPolicy(app: string, id: string, call?: Call): Promise<void> {
    await this.call('DELETE', `${policiesOf(app)}/${encodeURIComponent(id)}`, call)
  }

  async wireguardPeers(org: string, call?: Call): Promise<readonly WireGuardPeer[]> {
    return (await this.call<{ peers: WireGuardPeer[] }>('GET', peersOf(org), call)).peers
  }

  /** Lets the device with this public key into a network of the organisation. */
  addWireguardPeer(
    org: string,
    peer: { name: string; pubkey: string; region?: string; network?: string },
    call?: Call,
  ): Promise<NewWireGuardPeer> {
    return this.call('POST', peersOf(org), { ...call, body: peer })
  }

  async removeWireguardPeer(org: string, name: string, call?: Call): Promise<void> {
    await this.call('DELETE', `${peersOf(org)}/${encodeURIComponent(name)}`, call)
  }

  async certificates(app: string, call?: Call): Promise<readonly Certificate[]> {
    const query = { limit: CERTIFICATES_MAX }
    const answer = await this.call<{ certificates: Certificate[] }>('GET', certificatesOf(app), {
      ...call,
      query,
    })
    return answer.certificates
  }

  /** Asks for a certificate for a host name of the app's own. */
  addCertificate(app: string, hostname: string, call?: Call): Promise<Certificate> {
    return this.call('POST', `${certificatesOf(app)}/acme`, { ...call, body: { hostname } })
  }

  /** With what DNS says now. */
  checkCertificate(app: string, hostname: string, call?: Call): Promise<Certificate> {
    const path = `${certificatesOf(app)}/${encodeURIComponent(hostname)}/check`
    return this.call('POST', path, call)
  }

  /** Brings a certificate. */
  importCertificate(
    app: string,
    hostname: string,
    { fullchain, privateKey }: { readonly fullchain: string; readonly privateKey: string },
    call?: Call,
  ): Promise<Certificate> {
    const body = { hostname, fullchain, private_key: privateKey }
    return this.call('POST', `${certificatesOf(app)}/custom`, { ...call, body })
  }

  /** The name stays. @param kind `custom`: what somebody brought; `acme`: what the platform gets */
  removeOneCertificate(
    app: string,
    hostname: string,
    kind: 'custom' | 'acme',
    call?: Call,
  ): Promise<Certificate> {
    const path = `${certificatesOf(app)}/${encodeURIComponent(hostname)}/${kind}`
    return this.call('DELETE', path, call)
  }

  async removeCertificate(app: string, hostname: string, call?: Call): Promise<void> {
    const path = `${certificatesOf(app)}/${encodeURIComponent(hostname)}`
    await this.call('DELETE', path, call)
  }

  async secrets(app: string, call?: Call): Promise<readonly Secret[]> {
    const path = `/v1/apps/${encodeURIComponent(app)}/secrets`
    return (await this.call<{ secrets: Secret[] }>('GET', path, call)).secrets
  }

  /** Null removes a secret. Gives the version that machines need to have all of it. */
  async setSecrets(
    app: string,
    values: Readonly<Record<string, string | null>>,
    call?: Call,
  ): Promise<number> {
    const path = `/v1/apps/${encodeURIComponent(app)}/secrets`
    return (await this.call<{ version: number }>('POST', path, { ...call, body: { values } }))
      .version
  }

  /** A page of the log, oldest first. @param filter `nextToken` empty: the last lines */
  async logs(
    app: string,
    filter: { nextToken: string; region?: string; machine?: string },
    call?: Call,
  ): Promise<{ lines: LogLine[]; next: string }> {
    const { nextToken, region, machine } = filter
    const path = `/v1/apps/${encodeURIComponent(app)}/logs`
    const query = { next_token: nextToken, region, instance: machine }
    const { data, meta } = await this.call<LogsAnswer>('GET', path, { ...call, query })
    const lines = data.map(({ attributes: { instance, meta: more, ...rest } }) => ({
      ...rest,
      machine: instance,
      provider: more?.Event?.Provider ?? '',
    }))
    return { lines, next: meta.next_token }
  }

  async releases(app: string, limit: number, call?: Call): Promise<readonly AppRelease[]> {
    const query = { limit }
    const path = releasesOf(app)
    return (await this.call<{ releases: AppRelease[] }>('GET', path, { ...call, query })).releases
  }

  /** The newest that is complete, with its definition. */
  currentRelease = (app: string, call?: Call) => this.#release(app, 'current', call)

  /** The newest, whatever became of it, with its definition. */
  latestRelease = (app: string, call?: Call) => this.#release(app, 'latest', call)

  createRelease(
    app: string,
    release: { image: string; strategy: string; definition: unknown },
    call?: Call,
  ): Promise<AppRelease> {
    return this.call('POST', releasesOf(app), { ...call, body: release })
  }

  updateRelease(
    app: string,
    id: string,
    /** `ttl`: seconds within which more is told, while it is under way. */
    change: { status: ReleaseStatus; failure?: string; ttl?: number },
    call?: Call,
  ): Promise<AppRelease> {
    return this.call('PATCH', `${releasesOf(app)}/${id}`, { ...call, body: change })
  }

  /** Slugs of those that the caller's tokens are for. */
  async ownOrganizations(call?: Call): Promise<readonly string[]> {
    const { tokens } = await this.call<{ tokens: { org_slug: string }[] }>(
      'GET',
      '/v1/tokens/current',
      call,
    )
    return [...new Set(tokens.map(({ org_slug: slug }) => slug).filter((slug) => slug !== ''))]
  }

  /** The region of the API that answers. */
  async nearestRegion(call?: Call): Promise<string> {
    return (await this.call<{ nearest: string }>('GET', '/v1/platform/regions', call)).nearest
  }

  async regions(call?: Call): Promise<readonly Region[]> {
    return (await this.call<{ regions: Region[] }>('GET', '/v1/platform/regions', call)).regions
  }

  async #release(app: string, which: string, call?: Call): Promise<AppRelease | undefined> {
    try {
      return await this.call<AppRelease>('GET', `${releasesOf(app)}/${which}`, call)
    } catch (error) {
      if (error instanceof ApiError && error.code === 'api.not_found') return undefined
      throw error
    }
  }

  [Symbol.dispose](): void {
    this.#exchange[Symbol.dispose]()
  }
}

interface LogsAnswer {
  readonly data: readonly {
    readonly attributes: {
      readonly timestamp: string
      readonly message: string
      readonly level: string
      readonly instance: string
      readonly region: string
      readonly meta?: { readonly Event?: { readonly Provider?: string } }
    }
  }[]
  readonly meta: { readonly next_token: string }
}

const certificatesOf = (app: string) => `/v1/apps/${encodeURIComponent(app)}/certificates`

const releasesOf = (app: string) => `/v1/apps/${encodeURIComponent(app)}/releases`

/** Where a private address leads: the network of that name, of that organisation. */
export interface IpPlace {
  readonly region?: string
  readonly network?: string
  readonly org_slug?: string
}

export type IpKind = 'v4' | 'v6' | 'shared_v4' | 'private_v6'

export interface NewVolume {
  readonly name: string
  readonly region: string
  readonly size_gb: number
  readonly snapshot_retention?: number
  readonly auto_backup_enabled?: boolean
  /** Filled from it. */
  readonly snapshot_id?: string
  /** Filled from this volume as it is now. */
  readonly source_volume_id?: string
  /** The size of the machine that will have it: then its host has room for that, too. */
  readonly compute?: Readonly<Record<string, unknown>>
}

function parseUrl(text: string): URL {
  if (URL.canParse(text) && /^https?:/.test(text)) return new URL(text)
  throw new ApiError('api.unreachable', {
    what: 'not the address of an API',
    values: { url: text },
    fix: 'write one like https://api.example.com',
  })
}

function addParameter(
  url: URL,
  name: string,
  value: string | number | boolean | readonly string[] | undefined,
): void {
  if (value === undefined) return
  for (const one of Array.isArray(value) ? value : [value])
    url.searchParams.append(name, String(one))
}

/** 502 and 503 say that nothing was done. A broken connection says so of no call that changes anything. */
function mayRepeat(method: string, error: unknown): boolean {
  if (!(error instanceof ApiError)) return false
  if (error.code === 'api.unavailable' || error.code === 'api.rate_limited') return true
  return error.code === 'api.unreachable' && (method === 'GET' || isRefused(error))
}

const isRefused = (error: ApiError) => error.values['why'] === 'ECONNREFUSED'

function answerOf<T>(method: string, path: string, { status, headers, body }: Received): T {
  const text = body.toString()
  const json = parseJson(text)
  if (status >= 200 && status < 300) {
    if (json === undefined && text !== '') throw answerBad(method, path, status, text)
    return json as T
  }
  const {
    error,
    status: label,
    fix,
  } = (typeof json === 'object' && json !== null ? json : {}) as {
    error?: unknown
    status?: unknown
    fix?: unknown
  }
  throw errorOfAnswer({
    status,
    method,
    path,
    text: typeof error === 'string' ? error : text.slice(0, TEXT_CHARS_MAX) || `HTTP ${status}`,
    label: typeof label === 'string' ? label : undefined,
    requestId: headers['fly-request-id']?.toString(),
    fix: typeof fix === 'string' ? fix : undefined,
  })
}

const timedOut = (method: string, path: string, deadlineMs: number) =>
  new ApiError('api.timed_out', {
    what: 'the API did not answer in time',
    values: { call: `${method} ${path}`, deadlineMs },
    fix: 'look whether it happened, then try again',
  })

const TEXT_CHARS_MAX = 300

const answerBad = (method: string, path: string, status: number, text: string) =>
  new ApiError('api.answer_bad', {
    what: 'what answered is no Machines API',
    values: { call: `${method} ${path}`, status, begins: text.slice(0, 60) },
    fix: 'look at the address of the API (--api or GODWIT_API)',
  })

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // told apart by the caller
  }
}
