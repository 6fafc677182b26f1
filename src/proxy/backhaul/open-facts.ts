import { malformed, PAYLOAD_BYTES_MAX } from './frame.ts'

/** What a worker is told of a connection: enough to judge it, and to say where it came from. */
export interface OpenFacts {
  readonly machine: string
  readonly internalPort: number
  readonly publicPort: number
  readonly isHttp: boolean
  /** There are other machines to try: refuse rather than wait or wake. */
  readonly hasAlternatives: boolean
  readonly clientAddress: string
  readonly clientPort: number
  /** That the client dialled. */
  readonly localAddress: string
  /** '' without TLS. */
  readonly tlsVersion: string
  readonly serverName: string
  readonly alpn: string
  readonly requestId: string
}

const IS_HTTP = 1
const HAS_ALTERNATIVES = 2
const FIXED_BYTES = 7

/** Flags (1), three ports (2 each), then seven texts, each with its length (1) before it. */
export function encodeOpen(facts: OpenFacts): Buffer {
  const texts = textsOf(facts).map((text) => Buffer.from(text).subarray(0, 255))
  const size = texts.reduce((sum, text) => sum + 1 + text.length, FIXED_BYTES)
  const bytes = Buffer.allocUnsafe(Math.min(size, PAYLOAD_BYTES_MAX))
  const flags = (facts.isHttp ? IS_HTTP : 0) | (facts.hasAlternatives ? HAS_ALTERNATIVES : 0)
  bytes.writeUInt8(flags, 0)
  bytes.writeUInt16BE(facts.internalPort, 1)
  bytes.writeUInt16BE(facts.publicPort, 3)
  bytes.writeUInt16BE(facts.clientPort, 5)
  let at = FIXED_BYTES
  for (const text of texts) {
    bytes.writeUInt8(text.length, at)
    bytes.set(text, at + 1)
    at += 1 + text.length
  }
  return bytes
}

/** @throws BackhaulError backhaul.malformed */
export function decodeOpen(bytes: Buffer): OpenFacts {
  if (bytes.length < FIXED_BYTES) throw malformed('open', bytes.length)
  const texts: string[] = []
  let at = FIXED_BYTES
  while (at < bytes.length) {
    const end = at + 1 + (bytes[at] as number)
    if (end > bytes.length) throw malformed('open', end)
    texts.push(bytes.toString('utf8', at + 1, end))
    at = end
  }
  const flags = bytes[0] as number
  const [machine, clientAddress, localAddress, tlsVersion, serverName, alpn, requestId] = texts
  if (requestId === undefined || texts.length !== TEXT_COUNT) {
    throw malformed('open', texts.length)
  }
  return {
    machine: machine as string,
    internalPort: bytes.readUInt16BE(1),
    publicPort: bytes.readUInt16BE(3),
    isHttp: (flags & IS_HTTP) !== 0,
    hasAlternatives: (flags & HAS_ALTERNATIVES) !== 0,
    clientAddress: clientAddress as string,
    clientPort: bytes.readUInt16BE(5),
    localAddress: localAddress as string,
    tlsVersion: tlsVersion as string,
    serverName: serverName as string,
    alpn: alpn as string,
    requestId,
  }
}

const TEXT_COUNT = 7
const textsOf = (facts: OpenFacts): readonly string[] => [
  facts.machine,
  facts.clientAddress,
  facts.localAddress,
  facts.tlsVersion,
  facts.serverName,
  facts.alpn,
  facts.requestId,
]
