import type { ProxyLimits } from '../forward/limits.ts'
import type { StaticConfig } from './static-config.ts'

/** `headers_read_ms` in the file is `headersReadMs` in the engine. */
export function limitsOf(config: StaticConfig): Partial<ProxyLimits> {
  const entries = Object.entries(config.limits).map(
    ([name, value]) =>
      [name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()), value] as const,
  )
  return Object.fromEntries(entries) as Partial<ProxyLimits>
}
