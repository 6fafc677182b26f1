import { type Caller, organizationOf } from './caller.ts'
import type { Organization } from './directory.ts'
import type { Services } from './services.ts'

/** What clients of the original call the organisation of a person who names none. */
export const PERSONAL_SLUG = 'personal'

/**
 * An organisation by its slug. `personal` is that of the caller's first token, unless one bears that slug: tokens
 * here are an organisation's, and clients ask for this one when their user names none. Grants nothing.
 */
export async function findOrganization(
  slug: string,
  caller: Caller,
  { directory, clock }: Pick<Services, 'directory' | 'clock'>,
  signal: AbortSignal,
): Promise<Organization | undefined> {
  const found = await directory.organization(slug, signal)
  if (found !== undefined || slug !== PERSONAL_SLUG) return found
  const id = organizationOf(caller.requireLive(clock.nowMs()))
  return id === undefined ? undefined : await directory.organizationOfToken(id, signal)
}
