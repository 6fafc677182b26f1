import { Resolver } from 'node:dns/promises'
import { errorCode } from '#base'

/** What the world's DNS says of a name. */
export interface DnsRecords {
  readonly a: readonly string[]
  readonly aaaa: readonly string[]
  readonly cname: readonly string[]
  /** Of `_fly-ownership.<name>`: values that name an app or organisation. */
  readonly ownershipTxt: readonly string[]
  /** Of `_acme-challenge.<name>`. */
  readonly acmeChallengeCname: readonly string[]
}

/** Where DNS says whose a name is, and where it hands the proof for authorities on. */
export const ownershipName = (hostname: string): string => `_fly-ownership.${bare(hostname)}`
export const acmeChallengeName = (hostname: string): string => `_acme-challenge.${bare(hostname)}`
/** Without `*.`: RFC 8555, section 8.4. */
const bare = (hostname: string) => hostname.replace(/^\*\./, '')

export interface HostnameLookup {
  /** What cannot be had within a few seconds is not there. */
  lookUp(hostname: string, signal: AbortSignal): Promise<DnsRecords>
}

const QUERY_MS_MAX = 2_000
const TRIES = 2

/** By the name servers of this host. Of a wildcard, some name below it is asked. */
export function systemLookup(): HostnameLookup {
  return {
    async lookUp(hostname, signal) {
      const resolver = new Resolver({ timeout: QUERY_MS_MAX, tries: TRIES })
      const onAbort = () => resolver.cancel()
      signal.addEventListener('abort', onAbort, { once: true })
      try {
        const name = hostname.replace(/^\*\./, 'godwit-check.')
        const [a, aaaa, cname, texts, acmeChallengeCname] = await Promise.all([
          orNone(resolver.resolve4(name)),
          orNone(resolver.resolve6(name)),
          orNone(resolver.resolveCname(name)),
          orNone(resolver.resolveTxt(ownershipName(hostname))),
          orNone(resolver.resolveCname(acmeChallengeName(hostname))),
        ])
        const ownershipTxt = texts.flatMap((parts) => parts.join('').split(';')).map(trimmed)
        return { a, aaaa, cname, ownershipTxt, acmeChallengeCname }
      } finally {
        signal.removeEventListener('abort', onAbort)
      }
    },
  }
}

const trimmed = (text: string) => text.trim()

/** Each refusal of a name server has a code such as ENODATA; anything else is our mistake. */
async function orNone<Record>(answer: Promise<Record[]>): Promise<Record[]> {
  try {
    return await answer
  } catch (error) {
    if (errorCode(error) === undefined) throw error
    return []
  }
}
