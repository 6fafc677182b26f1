import { existsSync } from 'node:fs'
import type { IssuedToken, NewToken } from '#accounts'
import { parseDurationMs } from '#base'
import { type FlapsClient, readProfile } from '#flaps-client'
import { ACCOUNTS_FOLDER, operatorCall, withAccounts } from './accounts-folder.ts'
import { type ConnectionOptions, connect } from './api/connection.ts'
import { ApiInputError } from './api/input-error.ts'
import { organizationOf } from './api/organization-option.ts'

/** Where tokens are made and ended: by asking the API, or in the accounts' folder itself. */
export interface TokenDesk extends Disposable {
  create(input: DeskInput): Promise<DeskToken & { readonly token: string }>
  list(organization: string | undefined): Promise<readonly DeskToken[]>
  revoke(organization: string | undefined, uuid: string): Promise<void>
}

export interface DeskInput extends Omit<NewToken, 'organization' | 'expiresInS'> {
  /** Undefined: the one that the caller's token is for. */
  readonly organization: string | undefined
  /** As a duration. */
  readonly expiry: string
}

/** As `--json` prints it. */
export type DeskToken = Omit<IssuedToken, 'kid'>

export interface DeskOptions extends ConnectionOptions {
  readonly accounts?: string
}

/** The folder when it is named, or when nothing says where an API is and this machine has the accounts. */
export async function openTokenDesk(options: DeskOptions): Promise<TokenDesk> {
  if (options.accounts !== undefined) return folderDesk(options.accounts)
  const isApiKnown = options.api !== undefined || readProfile() !== undefined
  if (!isApiKnown && existsSync(ACCOUNTS_FOLDER)) return folderDesk(ACCOUNTS_FOLDER)
  return apiDesk(await connect(options))
}

function folderDesk(folder: string): TokenDesk {
  return {
    async create({ organization, expiry, ...input }) {
      const expiresInS = Math.floor(parseDurationMs(expiry) / 1000)
      const { header: token, ...rest } = withAccounts(folder, (accounts) =>
        accounts.createToken(operatorCall(), {
          ...input,
          organization: requireSlug(organization),
          expiresInS,
        }),
      )
      return { token, ...rest }
    },
    list: async (organization) =>
      withAccounts(folder, (accounts) => accounts.tokens(requireSlug(organization))),
    async revoke(_organization, uuid) {
      withAccounts(folder, (accounts) => accounts.revokeToken(operatorCall(), { uuid }))
    },
    [Symbol.dispose]: () => undefined,
  }
}

function requireSlug(organization: string | undefined): string {
  if (organization !== undefined) return organization
  throw new ApiInputError('cli.no_organization', {
    what: 'which organisation?',
    fix: 'name it with --org; `godwit orgs list` shows them',
  })
}

interface Listed {
  readonly id: string
  readonly name: string
  readonly profile: IssuedToken['profile']
  readonly app_name: string | null
  readonly created_by: string
  readonly created_at: string
  readonly expires_at: string | null
  readonly revoked_at: string | null
}

function apiDesk(client: FlapsClient): TokenDesk {
  const path = async (organization: string | undefined) =>
    `/v1/orgs/${encodeURIComponent(await organizationOf(client, organization))}/tokens`
  return {
    async create({ organization, expiry, profile, name, app, machine, commands }) {
      const owner = organization ?? (app && (await client.app(app)).organization.slug)
      const { token, ...made } = await client.call<Listed & { token: string }>(
        'POST',
        await path(owner),
        {
          body: {
            ...{ profile, name, commands, app_name: app, machine_id: machine },
            expiry: `${Math.floor(parseDurationMs(expiry) / 1000)}s`,
          },
        },
      )
      return { token, ...shown(made) }
    },
    async list(organization) {
      const { tokens } = await client.call<{ tokens: Listed[] }>('GET', await path(organization))
      return tokens.map(shown)
    },
    async revoke(organization, uuid) {
      await client.call('DELETE', `${await path(organization)}/${encodeURIComponent(uuid)}`)
    },
    [Symbol.dispose]: () => client[Symbol.dispose](),
  }
}

const timeMs = (text: string | null) => (text === null ? undefined : Date.parse(text))

const shown = (token: Listed): DeskToken => ({
  uuid: token.id,
  name: token.name,
  profile: token.profile,
  app: token.app_name ?? undefined,
  createdBy: token.created_by,
  createdAtMs: Date.parse(token.created_at),
  expiresAtMs: timeMs(token.expires_at),
  revokedAtMs: timeMs(token.revoked_at),
})
