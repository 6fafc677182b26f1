import { certificatesIn } from './ca-bundle.ts'

const DAY_MS = 86_400_000

/** When nobody takes a chain any more: with the first of its certificates. Unix milliseconds. @throws TrustError trust.certificate_bad */
export const endOf = (chainPem: string): number =>
  Math.min(...certificatesIn(chainPem).map((one) => one.validToDate.getTime()))

/**
 * Whether another is wanted: two thirds of its time are over, and what would sign now lasts longer.
 *
 * @param signerPem of the authority that would
 * @throws TrustError trust.certificate_bad
 */
export function isDue(chainPem: string, signerPem: string, nowMs: number): boolean {
  const [leaf] = certificatesIn(chainPem)
  const fromMs = leaf?.validFromDate.getTime() ?? 0
  const endsMs = endOf(chainPem)
  return nowMs >= fromMs + (2 / 3) * (endsMs - fromMs) && endOf(signerPem) > endsMs + DAY_MS
}
