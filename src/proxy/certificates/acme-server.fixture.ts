import { createHash, createPublicKey, randomBytes, verify, type webcrypto } from 'node:crypto'
import { once } from 'node:events'
import {
  createServer,
  get,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:tls'
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import type { Certificate } from '../certificates.ts'
import { makeAuthority, signLeaf } from './issue-certificate.ts'

type JsonWebKey = webcrypto.JsonWebKey

interface Challenge {
  readonly id: string
  readonly type: string
  readonly token: string
  status: string
  error?: { type: string; detail: string }
}

interface Order {
  readonly id: string
  readonly account: string
  readonly name: string
  status: string
  authzStatus: string
  readonly challenges: Challenge[]
  certificate?: string
}

interface Jws {
  readonly header: { url: string; nonce: string; alg: string; jwk?: JsonWebKey; kid?: string }
  readonly payload: Record<string, unknown> | undefined
  readonly account: string | undefined
}

/** What the server is to do wrong. Counters go down with each use. */
export interface AcmeFaults {
  badNonces: number
  rateLimits: number
  retryAfterS: number
  serverErrors: number
  /** Validations that fail whatever is published. */
  failedValidations: number
  /** The order's finalisation takes so many polls. */
  processingPolls: number
}

const SUBJECT_ALTERNATIVE_NAME = '2.5.29.17'
const PROBLEM = 'urn:ietf:params:acme:error:'

/**
 * A certificate authority by RFC 8555: signed requests with nonces that are good once, accounts, orders,
 * authorisations that are validated by really looking (HTTP-01, TLS-ALPN-01) or at a table of TXT records (DNS-01),
 * and certificates of a root of its own.
 */
export class AcmeServer {
  readonly faults: AcmeFaults = {
    ...{ badNonces: 0, rateLimits: 0, retryAfterS: 0, serverErrors: 0 },
    ...{ failedValidations: 0, processingPolls: 0 },
  }
  /** Where HTTP-01 and TLS-ALPN-01 look, whatever the name. */
  target = { address: '127.0.0.1', httpPort: 0, tlsPort: 0 }
  readonly txt = new Map<string, string>()
  readonly offered = ['http-01', 'tls-alpn-01', 'dns-01']
  offers: (name: string) => readonly string[] = () => this.offered
  orderCount = 0
  /** What was issued, and to which account. */
  readonly issued: { readonly name: string; readonly account: string }[] = []
  validations: string[] = []
  root: Certificate | undefined
  readonly #server: Server
  readonly #nonces = new Set<string>()
  readonly #accounts = new Map<string, JsonWebKey>()
  readonly #orders = new Map<string, Order>()
  #base = ''

  constructor() {
    this.#server = createServer((request, response) => {
      void this.#serve(request, response).catch((error: unknown) => {
        this.#problem(response, 500, 'serverInternal', String(error))
      })
    })
  }

  get directoryUrl(): string {
    return `${this.#base}/directory`
  }

  async start({ address = '127.0.0.1', port = 0 } = {}): Promise<this> {
    this.root = await makeAuthority('Test root', 30, Date.now())
    this.#server.listen(port, address)
    await once(this.#server, 'listening')
    this.#base = `http://${address}:${(this.#server.address() as AddressInfo).port}`
    return this
  }

  stop(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }

  /** As an authority that lost an order, or cleaned it up. */
  forgetOrders(): void {
    this.#orders.clear()
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url ?? '/', this.#base)
    response.setHeader('replay-nonce', this.#nonce())
    response.setHeader('cache-control', 'no-store')
    if (pathname === '/directory') {
      const paths = { newNonce: 'nonce', newAccount: 'account', newOrder: 'order' }
      const urls = Object.entries(paths).map(([name, path]) => [name, `${this.#base}/${path}`])
      this.#json(response, 200, { ...Object.fromEntries(urls), meta: {} })
      return
    }
    if (pathname === '/state') {
      const { orderCount, issued, validations, root } = this
      this.#json(response, 200, { orderCount, issued, validations, root: root?.chain })
      return
    }
    if (pathname === '/nonce') {
      response.writeHead(request.method === 'HEAD' ? 200 : 204).end()
      return
    }
    if (this.faults.serverErrors > 0) {
      this.faults.serverErrors -= 1
      this.#problem(response, 503, 'serverInternal', 'maintenance')
      return
    }
    const jws = this.#verify(await bodyOf(request), pathname)
    if (typeof jws === 'string') this.#problem(response, 400, jws, `refused: ${jws}`)
    else await this.#route(pathname, jws, response)
  }

  /** @returns the name of the problem when the signature, nonce or URL is not right */
  #verify(body: string, pathname: string): Jws | string {
    const { protected: head, payload, signature } = JSON.parse(body) as Record<string, string>
    const header = JSON.parse(decode(head).toString()) as Jws['header']
    if (!this.#nonces.delete(header.nonce) || this.faults.badNonces > 0) {
      if (this.faults.badNonces > 0) this.faults.badNonces -= 1
      return 'badNonce'
    }
    if (header.url !== `${this.#base}${pathname}`) return 'unauthorized'
    const jwk = header.jwk ?? this.#accounts.get(header.kid ?? '')
    if (jwk === undefined) return 'accountDoesNotExist'
    const key = createPublicKey({ key: jwk, format: 'jwk' })
    const options = header.alg === 'ES256' ? { key, dsaEncoding: 'ieee-p1363' as const } : key
    const isGood = verify('sha256', Buffer.from(`${head}.${payload}`), options, decode(signature))
    if (!isGood) return 'malformed'
    const json = payload === '' ? undefined : JSON.parse(decode(payload).toString())
    return { header, payload: json, account: header.kid }
  }

  async #route(pathname: string, jws: Jws, response: ServerResponse): Promise<void> {
    const [, kind, id = '', more] = pathname.split('/')
    if (kind === 'account') return this.#account(jws, response)
    if (kind === 'order' && id === '') return this.#newOrder(jws, response)
    const order = this.#orders.get(id)
    if (order === undefined || order.account !== jws.account) {
      this.#problem(response, 404, 'malformed', 'no such resource')
      return
    }
    if (kind === 'order')
      this.#json(response, 200, this.#orderJson(order, true), this.#urlOf(order))
    else if (kind === 'authz') this.#json(response, 200, this.#authzJson(order))
    else if (kind === 'challenge') await this.#challenge(order, more ?? '', jws, response)
    else if (kind === 'finalize') await this.#finalize(order, jws, response)
    else if (kind === 'cert') {
      response.writeHead(200, { 'content-type': 'application/pem-certificate-chain' })
      response.end(order.certificate)
    } else this.#problem(response, 404, 'malformed', 'no such resource')
  }

  #account({ header }: Jws, response: ServerResponse): void {
    if (header.jwk === undefined) {
      this.#json(response, 200, { status: 'valid' }, header.kid) // an update of a known one
      return
    }
    const url = `${this.#base}/account/${thumbprint(header.jwk)}`
    const isKnown = this.#accounts.has(url)
    this.#accounts.set(url, header.jwk)
    this.#json(response, isKnown ? 200 : 201, { status: 'valid' }, url)
  }

  #newOrder(jws: Jws, response: ServerResponse): void {
    if (this.faults.rateLimits > 0) {
      this.faults.rateLimits -= 1
      response.setHeader('retry-after', String(this.faults.retryAfterS))
      this.#problem(response, 429, 'rateLimited', 'too many certificates already issued')
      return
    }
    const [identifier] = (jws.payload?.['identifiers'] ?? []) as { value: string }[]
    const name = identifier?.value ?? ''
    const isWildcard = name.startsWith('*.')
    const id = randomBytes(8).toString('hex')
    const types = this.offers(name).filter((type) => !isWildcard || type === 'dns-01')
    const challenges = types.map((type) => {
      const token = randomBytes(16).toString('base64url')
      return { id: randomBytes(4).toString('hex'), type, token, status: 'pending' }
    })
    const account = jws.account ?? ''
    const order = { id, account, name, status: 'pending', authzStatus: 'pending', challenges }
    this.#orders.set(id, order)
    this.orderCount += 1
    this.#json(response, 201, this.#orderJson(order, false), this.#urlOf(order))
  }

  async #challenge(order: Order, id: string, jws: Jws, response: ServerResponse): Promise<void> {
    const challenge = order.challenges.find((one) => one.id === id) as Challenge
    if (jws.payload !== undefined && challenge.status === 'pending') {
      const jwk = this.#accounts.get(order.account) ?? {}
      const expected = `${challenge.token}.${thumbprint(jwk)}`
      const problem = await this.#validate(order.name, challenge, expected)
      this.validations.push(`${challenge.type} ${problem ?? 'ok'}`)
      challenge.status = problem === undefined ? 'valid' : 'invalid'
      if (problem !== undefined)
        challenge.error = { type: `${PROBLEM}incorrectResponse`, detail: problem }
      order.authzStatus = challenge.status
      order.status = problem === undefined ? 'ready' : 'invalid'
    }
    response.setHeader('link', `<${this.#base}/authz/${order.id}>;rel="up"`)
    this.#json(response, 200, this.#challengeJson(order, challenge))
  }

  async #validate(name: string, { type, token }: Challenge, expected: string) {
    if (this.faults.failedValidations > 0) {
      this.faults.failedValidations -= 1
      return 'connection refused'
    }
    const host = name.replace(/^\*\./, '')
    if (type === 'http-01') {
      const found = await fetchText(this.target, host, `/.well-known/acme-challenge/${token}`)
      return found.trimEnd() === expected ? undefined : `wrong answer: ${found.slice(0, 100)}`
    }
    if (type === 'dns-01') {
      const digest = createHash('sha256').update(expected).digest('base64url')
      return this.txt.get(`_acme-challenge.${host}`) === digest ? undefined : 'wrong TXT record'
    }
    const shown = await alpnDigest(this.target, host)
    const digest = createHash('sha256').update(expected).digest('hex')
    return shown === digest ? undefined : `wrong certificate: ${shown}`
  }

  async #finalize(order: Order, jws: Jws, response: ServerResponse): Promise<void> {
    if (order.status !== 'ready') {
      this.#problem(response, 403, 'orderNotReady', `the order is ${order.status}`)
      return
    }
    const der = decode(String(jws.payload?.['csr']))
    const csr = new x509.Pkcs10CertificateRequest(new Uint8Array(der))
    const raw = csr.getExtension(SUBJECT_ALTERNATIVE_NAME)?.rawData ?? new ArrayBuffer(0)
    const names = new x509.SubjectAlternativeNameExtension(raw).names.toJSON()
    const isFit = (await csr.verify()) && names.length === 1 && names[0]?.value === order.name
    if (!isFit) {
      this.#problem(response, 400, 'badCSR', 'the request is for other names')
      return
    }
    const root = this.root as Certificate
    const key = await csr.publicKey.export()
    const leaf = await signLeaf(root, key, [order.name], 90, Date.now())
    order.certificate = `${leaf.toString('pem')}\n${root.chain}`
    order.status = this.faults.processingPolls > 0 ? 'processing' : 'valid'
    this.issued.push({ name: order.name, account: order.account })
    this.#json(response, 200, this.#orderJson(order, false), this.#urlOf(order))
  }

  #orderJson(order: Order, isPoll: boolean): object {
    if (isPoll && order.status === 'processing') {
      this.faults.processingPolls -= 1
      if (this.faults.processingPolls <= 0) order.status = 'valid'
    }
    const { id, name, status } = order
    return {
      ...{ status, identifiers: [{ type: 'dns', value: name }] },
      authorizations: [`${this.#base}/authz/${id}`],
      finalize: `${this.#base}/finalize/${id}`,
      ...(status === 'valid' ? { certificate: `${this.#base}/cert/${id}` } : {}),
    }
  }

  #authzJson(order: Order): object {
    const { name, authzStatus: status, challenges } = order
    const value = name.replace(/^\*\./, '')
    return {
      ...{ status, identifier: { type: 'dns', value }, wildcard: name.startsWith('*.') },
      challenges: challenges.map((challenge) => this.#challengeJson(order, challenge)),
    }
  }

  #challengeJson({ id }: Order, { id: own, type, status, token, error }: Challenge): object {
    const url = `${this.#base}/challenge/${id}/${own}`
    return { type, status, token, url, ...(error === undefined ? {} : { error }) }
  }

  #urlOf = ({ id }: Order) => `${this.#base}/order/${id}`

  #nonce(): string {
    const nonce = randomBytes(16).toString('base64url')
    this.#nonces.add(nonce)
    return nonce
  }

  #json(response: ServerResponse, status: number, body: object, location?: string): void {
    if (location !== undefined) response.setHeader('location', location)
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(JSON.stringify(body))
  }

  #problem(response: ServerResponse, status: number, type: string, detail: string): void {
    response.writeHead(status, { 'content-type': 'application/problem+json' })
    response.end(JSON.stringify({ type: `${PROBLEM}${type}`, detail, status }))
  }
}

type Target = AcmeServer['target']

const decode = (text = '') => Buffer.from(text, 'base64url')

/** RFC 7638. */
function thumbprint(jwk: JsonWebKey): string {
  const { crv, e, kty, n, x, y } = jwk
  const members = kty === 'RSA' ? { e, kty, n } : { crv, kty, x, y }
  return createHash('sha256').update(JSON.stringify(members)).digest('base64url')
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = ''
  for await (const chunk of request.setEncoding('utf8')) body += chunk
  return body
}

function fetchText({ address, httpPort }: Target, host: string, path: string): Promise<string> {
  return new Promise((resolve) => {
    const to = { host: address, port: httpPort, path, headers: { host } }
    const request = get(to, (response) => {
      void bodyOf(response).then(resolve)
    })
    request.on('error', (error) => resolve(String(error)))
  })
}

/** The digest in the challenge certificate that a server shows for a name (RFC 8737, section 3). */
function alpnDigest({ address, tlsPort: port }: Target, servername: string): Promise<string> {
  return new Promise((resolve) => {
    const options = { port, host: address, servername, rejectUnauthorized: false }
    const socket = connect({ ...options, ALPNProtocols: ['acme-tls/1'] }, () => {
      const { raw } = socket.getPeerCertificate()
      const isRight = socket.alpnProtocol === 'acme-tls/1'
      socket.destroy()
      const extension = new x509.X509Certificate(raw).getExtension('1.3.6.1.5.5.7.1.31')
      const value = Buffer.from(extension?.value ?? new ArrayBuffer(0))
      resolve(isRight && extension?.critical ? value.subarray(2).toString('hex') : 'none')
    })
    socket.on('error', (error) => resolve(String(error)))
  })
}
