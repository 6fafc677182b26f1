import type { Accounts } from '#accounts'

/** Says to others who trust this platform which machine somebody is: OpenID Connect Discovery 1.0, RFC 7517, 7519. */
export interface IdentityProvider {
  /** Of an organisation; undefined: this platform is nobody's issuer. */
  issuerOf(orgSlug: string): string | undefined
  /** A JWT. */
  sign(claims: Readonly<Record<string, unknown>>): string
  /** JWK Set. */
  keys(): { readonly keys: readonly object[] }
  /** Where the documents are served, in front of `/<org>/.well-known/...`. */
  readonly basePath: string
}

export const ISSUES_NOTHING: IdentityProvider = {
  issuerOf: () => undefined,
  sign: () => '',
  keys: () => ({ keys: [] }),
  basePath: '',
}

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** @param issuer the URL in front of organisations' names, as others reach it */
export function accountsIdentity(accounts: Accounts, issuer: string): IdentityProvider {
  const base = issuer.replace(/\/+$/, '')
  const by = { who: 'flaps', requestId: 'identity-key' }
  return {
    issuerOf: (slug) => `${base}/${slug}`,
    basePath: new URL(base).pathname.replace(/\/+$/, ''),
    sign(claims) {
      const newest = accounts.identityKeys().find(({ isToSign }) => isToSign)
      const { kid } = newest ?? accounts.addIdentityKey(by, {})
      const text = `${encode({ alg: 'RS256', kid, typ: 'JWT' })}.${encode(claims)}`
      return `${text}.${Buffer.from(accounts.signIdentity(kid, text)).toString('base64url')}`
    },
    keys: () => ({ keys: accounts.identityKeys().map(({ jwk }) => jwk) }),
  }
}

/** What verifiers read first. */
export const discoveryOf = (issuer: string) => ({
  issuer,
  jwks_uri: `${issuer}/.well-known/jwks`,
  response_types_supported: ['id_token'],
  subject_types_supported: ['public'],
  id_token_signing_alg_values_supported: ['RS256'],
  claims_supported: [
    ...['sub', 'aud', 'exp', 'iat', 'iss', 'jti', 'nbf', 'app_id', 'app_name', 'image'],
    ...[
      'image_digest',
      'machine_id',
      'machine_name',
      'machine_version',
      'org_id',
      'org_name',
      'region',
    ],
  ],
})
