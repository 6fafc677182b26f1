import { Resolver } from 'node:dns/promises'
import { errorCode } from '#base'

/** What the world's DNS says of a name. */
export interface DnsRecords {
  readonly a: readonly string[]
  readonly aaaa: readonly string[]
  readonly cname: readonly string[]
}

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
        const [a, aaaa, cname] = await Promise.all([
          orNone(resolver.resolve4(name)),
          orNone(resolver.resolve6(name)),
          orNone(resolver.resolveCname(name)),
        ])
        return { a, aaaa, cname }
      } finally {
        signal.removeEventListener('abort', onAbort)
      }
    },
  }
}

/** Each refusal of a name server has a code such as ENODATA; anything else is our mistake. */
async function orNone(answer: Promise<string[]>): Promise<string[]> {
  try {
    return await answer
  } catch (error) {
    if (errorCode(error) === undefined) throw error
    return []
  }
}
