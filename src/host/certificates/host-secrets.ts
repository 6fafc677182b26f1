import { createHash, createPrivateKey, X509Certificate } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { writeDurably } from '#base'
import { authoritiesIn, endOf, rootOf, type TrustRow } from '#trust'
import { HostError } from '../errors.ts'
import type { HostConfig } from '../host-config.ts'
import { placesOf } from '../parts/derived-part.ts'

/** What a host knows others by, and shows them: files of its folder of secrets. */
export interface HostSecrets {
  readonly caPem: string
  readonly serverPem: string
  readonly serverKeyPem: string
  readonly clientPem: string
  readonly clientKeyPem: string
  /** Of its nkey. */
  readonly seed: string
  /** Of a gateway that signs for hosts. */
  readonly joiningPem: string | undefined
  /** Of the keys that all hosts share. */
  readonly shares: string
}

const SHARED = ['cluster.key', 'edge-keys'] as const
/** Hex digits: enough to see that two hosts have the same. */
const DIGEST_CHARS = 16

const digestOf = (texts: readonly string[]): string =>
  createHash('sha256').update(texts.join('\0')).digest('hex').slice(0, DIGEST_CHARS)

/** @throws what reading a file says */
export function readHostSecrets(config: HostConfig): HostSecrets {
  const { secret } = placesOf(config)
  const read = (name: string) => readFileSync(secret(name), 'utf8')
  return {
    caPem: read('ca.pem'),
    serverPem: read('server.pem'),
    serverKeyPem: read('server.key'),
    clientPem: read('client.pem'),
    clientKeyPem: read('client.key'),
    seed: read('nats.seed'),
    joiningPem: existsSync(secret('joining.key')) ? read('joining.pem') : undefined,
    shares: digestOf(SHARED.map((name) => textOf(secret(name)) ?? '')),
  }
}

/** What the host says of itself to others. @throws TrustError trust.certificate_bad */
export function trustOf(host: string, secrets: HostSecrets, nowMs: number): TrustRow {
  const { caPem, serverPem, clientPem, joiningPem } = secrets
  const roots = [serverPem, clientPem].map((pem) => rootOf(pem, caPem, nowMs))
  return {
    host,
    trusts: authoritiesIn(caPem).map(({ fingerprint }) => fingerprint),
    signedBy: roots[0] !== undefined && roots[0] === roots[1] ? roots[0] : '',
    endsAtMs: Math.min(endOf(serverPem), endOf(clientPem)),
    signsUntilMs: joiningPem === undefined ? undefined : endOf(joiningPem),
    shares: secrets.shares,
  }
}

/** In the order in which they are written: what the host shows, before it forgets by whom that is signed. */
const TOLD = ['server.pem', 'client.pem', 'ca.pem', 'cluster.key', 'edge-keys'] as const
/** A gateway's own are the operator's to change, and what it tells others. */
const OF_GATEWAY: readonly string[] = ['server.pem', 'client.pem']

/**
 * Writes what a gateway told, where it is something else; the host's daemons read it within seconds.
 *
 * @returns names of the files that are others now
 * @throws HostError host.answer_bad: it does not fit the keys of this host, or would cut it off; nothing is written
 */
export async function takeSecrets(
  config: HostConfig,
  told: Readonly<Record<string, string>>,
  { isGateway, nowMs }: { readonly isGateway: boolean; readonly nowMs: number },
): Promise<string[]> {
  const { secret } = placesOf(config)
  const names = TOLD.filter((name) => !isGateway || OF_GATEWAY.includes(name))
  const isOther = (name: string) =>
    told[name] !== undefined && told[name] !== textOf(secret(name)) && told[name] !== ''
  const changed = names.filter(isOther)
  if (changed.length === 0) return []
  const before = readHostSecrets(config)
  const of = (name: string, present: string) =>
    (changed.some((one) => one === name) ? told[name] : undefined) ?? present
  checkFit(
    {
      ...before,
      caPem: of('ca.pem', before.caPem),
      serverPem: of('server.pem', before.serverPem),
      clientPem: of('client.pem', before.clientPem),
    },
    nowMs,
  )
  for (const name of changed) await writeDurably(secret(name), told[name] ?? '')
  return changed
}

const textOf = (file: string) => (existsSync(file) ? readFileSync(file, 'utf8') : undefined)

function checkFit(secrets: HostSecrets, nowMs: number): void {
  const { caPem, serverPem, serverKeyPem, clientPem, clientKeyPem } = secrets
  const isPair = (certificate: string, key: string) =>
    new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key))
  if (!isPair(serverPem, serverKeyPem) || !isPair(clientPem, clientKeyPem)) {
    throw unfit('a certificate is not of the key of this host')
  }
  const isKnown = [serverPem, clientPem].every((pem) => rootOf(pem, caPem, nowMs) !== undefined)
  if (!isKnown) throw unfit('the authority that signed for this host would be trusted no more')
}

const unfit = (what: string) =>
  new HostError('host.answer_bad', {
    what: `what the gateway tells is not taken: ${what}`,
    fix: 'look at `godwit host certs` at the gateway: has a step of the change of its CA been left out?',
  })
