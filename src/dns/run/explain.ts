import type { Directory } from '../directory/directory.ts'
import { DnsError } from '../errors.ts'
import { CLASS_IN, RCODE, rcodeName } from '../wire/constants.ts'
import { isEncodable, labelsOf } from '../wire/names.ts'
import { recordText, typeName, typeOf } from '../wire/record-text.ts'
import { type Answer, failure } from '../wire/reply.ts'
import type { InternalZone } from '../zone/internal-zone.ts'
import type { PublicZone } from '../zone/public-zone.ts'

export interface ExplainQuestion {
  readonly name: string
  /** `AAAA`. */
  readonly type: string
  /** The 6PN address to ask from; undefined: as the public. */
  readonly as: string | undefined
}

/** As `--json` prints it. */
export interface Explanation {
  readonly name: string
  readonly type: string
  readonly rcode: string
  readonly why: string
  readonly records: readonly {
    readonly type: string
    readonly ttl_seconds: number
    readonly data: string
  }[]
}

export interface ExplainSources {
  readonly directory: Directory
  readonly zone: InternalZone
  readonly publicZone: PublicZone | undefined
  /** As the configuration writes them. */
  readonly upstreams: readonly string[]
  readonly isReady: () => boolean
}

type Reasoned = Answer & { readonly why: string }

/**
 * What would be answered, and by which rule. Upstreams are named, not asked.
 * @throws DnsError dns.query_bad
 */
export function explain(sources: ExplainSources, question: ExplainQuestion): Explanation {
  const labels = labelsOf(question.name)
  const type = typeOf(question.type)
  if (!isEncodable(labels)) {
    const fix = 'labels have 1 to 63 bytes, names at most 255'
    throw bad('not a domain name', { name: question.name }, fix)
  }
  if (type === undefined) {
    throw bad('not a record type', { type: question.type }, 'write one like AAAA, TXT or TYPE65')
  }
  const { answers, rcode, why } = answerOf(sources, labels, type, question.as)
  return {
    name: `${labels.join('.')}.`,
    type: typeName(type),
    rcode: rcodeName(rcode),
    why,
    records: answers.map((record) => ({
      type: typeName(record.type),
      ttl_seconds: record.ttlSeconds,
      data: recordText(record.type, Buffer.from(record.data)),
    })),
  }
}

function answerOf(
  sources: ExplainSources,
  labels: readonly string[],
  type: number,
  as: string | undefined,
): Reasoned {
  if (!sources.isReady()) {
    return { ...failure(RCODE.SERVFAIL), why: 'the rows were not read from corrosion yet' }
  }
  if (as === undefined) return publicAnswer(sources, labels, type)
  const caller = sources.directory.callerOfSource(as)
  if (caller === undefined) {
    const why = 'the address is of no network, or rows give its network to two organisations'
    return { ...failure(RCODE.REFUSED), why }
  }
  const found = sources.zone.answer(caller, labels, type, CLASS_IN)
  if (found !== undefined) return found
  return sources.upstreams.length === 0
    ? { ...failure(RCODE.REFUSED), why: 'no name of the network, and no upstream is configured' }
    : {
        ...failure(RCODE.NOERROR),
        why: `no name of the network: the upstreams ${sources.upstreams.join(', ')} are asked`,
      }
}

function publicAnswer(
  { publicZone }: ExplainSources,
  labels: readonly string[],
  type: number,
): Reasoned {
  if (publicZone === undefined) {
    const fix = 'name the address of a machine or peer with --as'
    throw bad('this server has no public zone', {}, fix)
  }
  const answer = publicZone.answer(labels, type, CLASS_IN)
  const isOutside = answer.rcode === RCODE.REFUSED
  return { ...answer, why: isOutside ? 'outside the public zone' : 'the public zone' }
}

const bad = (what: string, values: Record<string, string>, fix: string): DnsError =>
  new DnsError('dns.query_bad', { what, values, fix })
