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
import { AddressesClient } from './addresses-client.ts'
import type { App, LogLine, Region } from './answers.ts'
import { type Call, type Caller, pathOf } from './call.ts'
import { CertificatesClient } from './certificates-client.ts'
import { ApiError } from './errors.ts'
import { Exchange } from './exchange.ts'
import { ImagesClient } from './images-client.ts'
import { MachinesClient } from './machines-client.ts'
import { NetworkPoliciesClient } from './network-policies-client.ts'
import { readAnswer } from './read-answer.ts'
import { ReleasesClient } from './releases-client.ts'
import { SecretsClient } from './secrets-client.ts'
import { VolumesClient } from './volumes-client.ts'
import { WireguardPeersClient } from './wireguard-peers-client.ts'

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

export interface NewSshCertificate {
  /** `ssh-ed25519 AAAA...` */
  readonly public_key: string
  /** Users as whom it lets in. @default root, fly */
  readonly principals?: readonly string[]
  /** 1 to 72. @default 1 */
  readonly valid_hours?: number
}

const DEADLINE_MS = 60_000
const CONNECT_MS = 30_000
/** Of streams to machines, in the `Upgrade` header. */
const STREAM_PROTOCOL = 'godwit-tcp'
const BACKOFF = { baseMs: 200, capMs: 3_000 } as const

/**
 * The Machines API as a client sees it. A call is sent again only when the server did nothing yet, or
 * when it changes nothing; creating a machine is safe to repeat when it has a name.
 *
 * Every method throws ApiError: errors.ts names the codes.
 */
export class FlapsClient implements Caller, Disposable {
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

  // ---- what an app or an organisation has, by its kind

  machines = (app: string) => new MachinesClient(this, pathOf('apps', app, 'machines'))
  volumes = (app: string) => new VolumesClient(this, pathOf('apps', app, 'volumes'))
  addresses = (app: string) => new AddressesClient(this, pathOf('apps', app, 'ip_assignments'))
  certificates = (app: string) => new CertificatesClient(this, pathOf('apps', app, 'certificates'))
  images = (app: string) => new ImagesClient(this, pathOf('apps', app, 'images'))
  releases = (app: string) => new ReleasesClient(this, pathOf('apps', app, 'releases'))
  secrets = (app: string) => new SecretsClient(this, pathOf('apps', app, 'secrets'))
  networkPolicies = (app: string) =>
    new NetworkPoliciesClient(this, pathOf('apps', app, 'network_policies'))
  wireguardPeers = (org: string) =>
    new WireguardPeersClient(this, pathOf('orgs', org, 'wireguard_peers'))

  // ---- calls

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
        async (tried) => readAnswer<T>(method, path, await this.#exchange.send(sent, tried)),
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
    readAnswer('GET', path, answer)
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

const timedOut = (method: string, path: string, deadlineMs: number) =>
  new ApiError('api.timed_out', {
    what: 'the API did not answer in time',
    values: { call: `${method} ${path}`, deadlineMs },
    fix: 'look whether it happened, then try again',
  })
