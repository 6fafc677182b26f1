import { sign, verify, X509Certificate } from 'node:crypto'
import { nkeys } from '@nats-io/transport-node'
import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import { TrustError } from './errors.ts'

const PEM_CHARS_MAX = 16_384
/** How far the clocks of a host and a gateway may be apart. */
const SKEW_MS_MAX = 5 * 60_000
/** Neither key signs anything else that begins so: server.key signs handshakes of TLS, the other challenges of NATS. */
const PREFIX = 'godwit-renewal-1\n'

const renewalSchema = Type.Object({
  host: Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' }),
  /** Unix milliseconds, of the host's clock. */
  at_ms: Type.Integer({ minimum: 0 }),
  /** What it shows now, PEM, with what follows its certificate. */
  server: Type.String({ maxLength: PEM_CHARS_MAX }),
  client: Type.String({ maxLength: PEM_CHARS_MAX }),
})
/** What a host asks a gateway: what it is to trust and to show from now on. Its keys stay what they are. */
export type Renewal = Static<typeof renewalSchema>

export const renewalBody = Type.Object({
  /** A `Renewal` as JSON, behind a prefix. */
  text: Type.String({ maxLength: 3 * PEM_CHARS_MAX }),
  /** Of the text by the host's nkey and by the key of its server certificate, base64. */
  by_nkey: Type.String({ maxLength: 256 }),
  by_server: Type.String({ maxLength: 512 }),
})
/** Signed twice: one who has only a certificate that outlived its host, or only a challenge of NATS answered, gets nothing. */
export type SignedRenewal = Static<typeof renewalBody>

/**
 * @param keys the seed of the host's nkey, and the key of its server certificate (PKCS #8, PEM)
 * @throws what reading the keys says
 */
export function signRenewal(
  renewal: Renewal,
  keys: { readonly seed: string; readonly serverKeyPem: string },
): SignedRenewal {
  const text = `${PREFIX}${JSON.stringify(renewal)}`
  const bytes = Buffer.from(text)
  const pair = nkeys.fromSeed(Buffer.from(keys.seed.trim()))
  return {
    text,
    by_nkey: Buffer.from(pair.sign(bytes)).toString('base64'),
    by_server: sign('sha384', bytes, keys.serverKeyPem).toString('base64'),
  }
}

/**
 * What a host asks, once both signatures are those of the host that it names. That the certificate in it is one of the
 * cluster's, and still good, is for the caller to see.
 *
 * @param nkeyOf the public nkey of a member of the cluster
 * @throws TrustError trust.renewal_bad
 */
export function readRenewal(
  signed: SignedRenewal,
  nkeyOf: (host: string) => string | undefined,
  nowMs: number,
): Renewal {
  const renewal = parsed(signed.text)
  if (renewal === undefined) throw bad('it cannot be read', {})
  const { host, at_ms: atMs } = renewal
  const nkey = nkeyOf(host)
  if (nkey === undefined) throw bad('no host of the cluster has this name', { host })
  const bytes = Buffer.from(signed.text)
  if (!isSignedByNkey(nkey, bytes, signed.by_nkey) || !isSignedByServer(renewal, bytes, signed)) {
    throw bad('it is not signed with the keys of the host', { host })
  }
  if (!(Math.abs(nowMs - atMs) <= SKEW_MS_MAX)) {
    throw bad('the clocks of the host and the gateway are more than 5 minutes apart', { host })
  }
  return renewal
}

function parsed(text: string): Renewal | undefined {
  if (!text.startsWith(PREFIX)) return undefined
  try {
    const value: unknown = JSON.parse(text.slice(PREFIX.length))
    return Value.Check(renewalSchema, value) ? value : undefined
  } catch {
    return undefined // no JSON
  }
}

function isSignedByNkey(nkey: string, bytes: Buffer, signature: string): boolean {
  try {
    return nkeys.fromPublic(nkey).verify(bytes, Buffer.from(signature, 'base64'))
  } catch {
    return false // no signature of this kind at all
  }
}

function isSignedByServer({ server }: Renewal, bytes: Buffer, signed: SignedRenewal): boolean {
  try {
    const { publicKey } = new X509Certificate(server)
    return verify('sha384', bytes, publicKey, Buffer.from(signed.by_server, 'base64'))
  } catch {
    return false // no certificate
  }
}

const bad = (what: string, values: Readonly<Record<string, unknown>>) =>
  new TrustError('trust.renewal_bad', {
    what: `this host's certificates are not renewed: ${what}`,
    values,
    fix: 'a host that is to come back joins anew: godwit host token create --name HOST',
  })
