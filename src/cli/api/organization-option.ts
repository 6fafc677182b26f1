import { Option } from 'commander'
import type { FlapsClient } from '#flaps-client'
import { ApiInputError } from './input-error.ts'

/** Whose; who has a token of one organisation need not say it. */
export const organizationOption = () =>
  new Option('-o, --org <slug>', "whose; default: the token's").env('FLY_ORG')

/**
 * The organisation that was named, else the only one that the caller's tokens are for.
 *
 * @throws ApiInputError cli.no_organization
 */
export async function organizationOf(
  client: FlapsClient,
  named: string | undefined,
): Promise<string> {
  if (named !== undefined) return named
  const [only, ...others] = await client.ownOrganizations()
  if (only !== undefined && others.length === 0) return only
  throw new ApiInputError('cli.no_organization', {
    what: 'which organisation?',
    values: only === undefined ? {} : { yours: [only, ...others] },
    fix: 'name it with --org, or set FLY_ORG',
  })
}
