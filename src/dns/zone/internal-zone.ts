import type { Caller, Directory } from '../directory/directory.ts'
import type { Place } from '../directory/nearness.ts'
import { CLASS_IN, RCODE, TYPE } from '../wire/constants.ts'
import { encodeName, isEncodable, isWithin, type Labels } from '../wire/names.ts'
import { SRV_TARGET_AT, soaData, srvData } from '../wire/record-data.ts'
import { type AdditionalRecord, type Answer, failure, type ResourceRecord } from '../wire/reply.ts'
import type { Found, ServiceTarget } from './found.ts'
import { findFlycast, findInternal } from './network-names.ts'

/** So long may a stopped machine be named still. */
export const TTL_SECONDS = 5

const INTERNAL: Labels = ['internal']
const FLYCAST: Labels = ['flycast']
/** The reverse zone of fdaa::/16. */
const REVERSE: Labels = ['a', 'a', 'd', 'f', 'ip6', 'arpa']
const ZONES = [INTERNAL, FLYCAST, REVERSE]
const NIBBLES = 32
const CACHED_MAX = 20_000

export interface ExplainedAnswer extends Answer {
  /** For people: the rule that made it. */
  readonly why: string
}

/** Answers for `.internal`, `.flycast` and the reverse of 6PN, of the caller's own network alone. */
export class InternalZone {
  readonly #directory: Directory
  readonly #place: Place
  readonly #cache = new Map<string, ExplainedAnswer>()
  #cacheVersion = -1

  constructor(directory: Directory, place: Place) {
    this.#directory = directory
    this.#place = place
  }

  /** Of the rows behind the answers: at another version the same question may have another answer. */
  get version(): number {
    return this.#directory.version
  }

  /** Undefined: none of these zones' names. */
  answer(caller: Caller, labels: Labels, type: number, dnsClass: number) {
    const zone = ZONES.find((candidate) => isWithin(labels, candidate))
    if (zone === undefined) return undefined
    if (dnsClass !== CLASS_IN) return { ...failure(RCODE.REFUSED), why: 'only class IN' }
    if (this.#cacheVersion !== this.#directory.version || this.#cache.size > CACHED_MAX) {
      this.#cache.clear()
      this.#cacheVersion = this.#directory.version
    }
    const key = `${caller.networkId}/${caller.orgId}/${type}/${labels.join('.')}/${labels.length}`
    const known = this.#cache.get(key)
    if (known !== undefined) return known
    const answer = this.#compute(caller, labels, type, zone)
    this.#cache.set(key, answer)
    return answer
  }

  #compute(caller: Caller, labels: Labels, type: number, zone: Labels): ExplainedAnswer {
    const scope = { directory: this.#directory, place: this.#place, caller }
    const prefix = labels.slice(0, labels.length - zone.length)
    const isApex = prefix.length === 0
    if (zone === REVERSE) return this.#reverse(caller, labels, type)
    const found = zone === INTERNAL ? findInternal(scope, prefix) : findFlycast(scope, prefix)
    if (found === undefined)
      return this.#negative(RCODE.NXDOMAIN, zone, 'no such name in your network')
    const services = type === TYPE.SRV || type === TYPE.ANY ? (found.services ?? []) : []
    const records = [
      ...services.map(serviceRecord),
      ...recordsOf(found, type),
      ...(isApex ? this.#apex(zone, type) : []),
    ]
    if (records.length === 0) return this.#negative(RCODE.NOERROR, zone, found.why)
    return { ...positive(records, found.why), additional: services.flatMap(targetAddress) }
  }

  #reverse(caller: Caller, labels: Labels, type: number): ExplainedAnswer {
    if (labels.length === REVERSE.length) {
      const records = this.#apex(REVERSE, type)
      const why = 'the zone itself'
      return records.length > 0
        ? positive(records, why)
        : this.#negative(RCODE.NOERROR, REVERSE, why)
    }
    const address = addressOf(labels)
    const machine = address && this.#directory.machineAt(caller, address)
    const app = machine && this.#directory.appOfMachine(caller, machine)
    if (machine === undefined || app === undefined) {
      return this.#negative(RCODE.NXDOMAIN, REVERSE, 'no machine of your network has that address')
    }
    const why = 'the machine of that address'
    if (type !== TYPE.PTR && type !== TYPE.ANY) return this.#negative(RCODE.NOERROR, REVERSE, why)
    const name = [machine.id, 'vm', app.name.toLowerCase(), 'internal']
    if (!isEncodable(name))
      return this.#negative(RCODE.NOERROR, REVERSE, 'its name is no domain name')
    const data = encodeName(name)
    return positive([{ type: TYPE.PTR, ttlSeconds: TTL_SECONDS, data }], why)
  }

  #apex(zone: Labels, type: number): ResourceRecord[] {
    const records: ResourceRecord[] = []
    if (type === TYPE.SOA || type === TYPE.ANY) records.push(this.#soa(zone))
    if (type === TYPE.NS || type === TYPE.ANY) {
      const data = encodeName(['_api', 'internal'])
      records.push({ type: TYPE.NS, ttlSeconds: TTL_SECONDS, data })
    }
    return records
  }

  #soa(zone: Labels): ResourceRecord {
    const data = soaData({
      primary: ['_api', 'internal'],
      mailbox: ['hostmaster', 'internal'],
      serial: this.#directory.version,
      minimumSeconds: TTL_SECONDS,
    })
    return { type: TYPE.SOA, ttlSeconds: TTL_SECONDS, data, ownerLabels: zone.length }
  }

  #negative(rcode: number, zone: Labels, why: string): ExplainedAnswer {
    return { rcode, isAuthoritative: true, answers: [], authority: [this.#soa(zone)], why }
  }
}

const positive = (answers: readonly ResourceRecord[], why: string): ExplainedAnswer => ({
  rcode: RCODE.NOERROR,
  isAuthoritative: true,
  answers,
  authority: [],
  why,
})

function recordsOf({ aaaa = [], txt }: Found, type: number): ResourceRecord[] {
  const records: ResourceRecord[] = []
  if (type === TYPE.AAAA || type === TYPE.ANY) {
    for (const data of aaaa) records.push({ type: TYPE.AAAA, ttlSeconds: TTL_SECONDS, data })
  }
  if (txt !== undefined && (type === TYPE.TXT || type === TYPE.ANY)) {
    records.push({ type: TYPE.TXT, ttlSeconds: TTL_SECONDS, data: txt })
  }
  return records
}

const serviceRecord = ({ priority, port, target }: ServiceTarget): ResourceRecord => ({
  type: TYPE.SRV,
  ttlSeconds: TTL_SECONDS,
  data: srvData(priority, port, target),
})

/** Of the target of the SRV record that is the answer of that number: these stand first, a machine's together. */
function targetAddress(
  { address, target }: ServiceTarget,
  answer: number,
  all: readonly ServiceTarget[],
): AdditionalRecord[] {
  if (all[answer - 1]?.target[0] === target[0]) return []
  const owner = { answer, at: SRV_TARGET_AT }
  return [{ type: TYPE.AAAA, ttlSeconds: TTL_SECONDS, data: address, owner }]
}

/** The address of a full `ip6.arpa` name (RFC 3596, section 2.5). */
function addressOf(labels: Labels): Buffer | undefined {
  const nibbles = labels.slice(0, -2)
  const isFull = nibbles.length === NIBBLES && nibbles.every((label) => /^[0-9a-f]$/.test(label))
  return isFull ? Buffer.from(nibbles.toReversed().join(''), 'hex') : undefined
}
