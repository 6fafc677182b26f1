import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import type { BroughtCertificate } from './directory.ts'
import { refuse } from './errors.ts'

const CHAIN_BYTES_MAX = 64 * 1024
const KEY_BYTES_MAX = 16 * 1024
/** The leaf with them. Clients give up longer chains, too. */
const CERTIFICATES_MAX = 10
/** CA/Browser Forum, Baseline Requirements, section 6.1.5. */
const RSA_BITS_MIN = 2048
const CURVES: readonly string[] = ['prime256v1', 'secp384r1', 'secp521r1']
/** A name that a wildcard stands for: as good as any other. */
const SOME_LABEL = 'godwit-check'

export interface CustomCertificateInput {
  /** In lower case; `*.` before it for all names directly below. */
  readonly hostname: string
  /** PEM, as somebody sent it. */
  readonly fullchain: string
  readonly privateKey: string
}

/**
 * A certificate that somebody brings for a host name, as edges can serve it. No root needs to be known here: whoever visits
 * decides whom to trust.
 *
 * @throws FlapsError flaps.unprocessable: what is wrong with it
 */
export function readCustomCertificate(
  { hostname, fullchain, privateKey }: CustomCertificateInput,
  nowMs: number,
): BroughtCertificate {
  const chain = readChain(fullchain)
  const [leaf, ...issuers] = chain
  if (leaf === undefined) throw invalid('fullchain has no certificate')
  const key = readKey(privateKey)
  if (!leaf.checkPrivateKey(key)) {
    throw invalid('private_key is not the key of the first certificate in fullchain')
  }
  checkLinks(leaf, issuers)
  for (const one of chain) checkTime(one, nowMs, one === leaf)
  const name = hostname.replace(/^\*(?=\.)/, SOME_LABEL)
  const covers = { subject: 'always', partialWildcards: false } as const
  if (leaf.checkHost(name, covers) === undefined) {
    throw invalid(`the certificate is not for ${hostname}: it names ${namesOf(leaf)}`)
  }
  return {
    chain: chain.map((one) => one.toString()).join(''),
    key: String(key.export({ type: 'pkcs8', format: 'pem' })),
    notBeforeMs: leaf.validFromDate.getTime(),
    notAfterMs: leaf.validToDate.getTime(),
  }
}

function readChain(text: string): X509Certificate[] {
  if (text.length > CHAIN_BYTES_MAX)
    throw invalid(`fullchain has more than ${CHAIN_BYTES_MAX} bytes`)
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? []
  if (blocks.length > CERTIFICATES_MAX) {
    throw invalid(`fullchain has more than ${CERTIFICATES_MAX} certificates`)
  }
  return blocks.map((block, at) => {
    try {
      return new X509Certificate(block)
    } catch (error) {
      throw invalid(`certificate ${at + 1} of fullchain cannot be read`, error)
    }
  })
}

function readKey(text: string): KeyObject {
  if (text.length > KEY_BYTES_MAX) throw invalid(`private_key has more than ${KEY_BYTES_MAX} bytes`)
  let key: KeyObject
  try {
    key = createPrivateKey({ key: text, format: 'pem' })
  } catch (error) {
    const isLocked = /ENCRYPTED/.test(text)
    throw invalid(
      isLocked ? 'private_key has a passphrase: remove it first' : 'private_key cannot be read',
      error,
    )
  }
  const { modulusLength = 0, namedCurve = '' } = key.asymmetricKeyDetails ?? {}
  const isFit =
    key.asymmetricKeyType === 'rsa'
      ? modulusLength >= RSA_BITS_MIN
      : key.asymmetricKeyType === 'ec' && CURVES.includes(namedCurve)
  if (isFit) return key
  throw invalid(
    `private_key is neither RSA of ${RSA_BITS_MIN} bits or more nor ECDSA P-256, P-384, P-521`,
  )
}

/** Each is signed by the next. Source: RFC 8446, section 4.4.2, the stricter form of TLS 1.2. */
function checkLinks(leaf: X509Certificate, issuers: readonly X509Certificate[]): void {
  let below = leaf
  for (const [at, issuer] of issuers.entries()) {
    if (!issuer.ca || !below.checkIssued(issuer) || !below.verify(issuer.publicKey)) {
      throw invalid(`certificate ${at + 1} of fullchain is not signed by certificate ${at + 2}`)
    }
    below = issuer
  }
}

function checkTime(
  { validFromDate, validToDate }: X509Certificate,
  nowMs: number,
  isLeaf: boolean,
): void {
  const which = isLeaf ? 'the certificate' : 'a certificate of the chain'
  if (validToDate.getTime() <= nowMs) {
    throw invalid(`${which} expired at ${validToDate.toISOString()}`)
  }
  if (validFromDate.getTime() > nowMs) {
    throw invalid(`${which} is not valid before ${validFromDate.toISOString()}`)
  }
}

function namesOf({ subjectAltName, subject }: X509Certificate): string {
  const text = subjectAltName ?? subject.replaceAll('\n', ', ')
  return text.length > NAMES_CHARS_MAX ? `${text.slice(0, NAMES_CHARS_MAX)}...` : text
}

const NAMES_CHARS_MAX = 200

const invalid = (what: string, cause?: unknown) =>
  refuse('flaps.unprocessable', `Validation failed: ${what}`, cause)
