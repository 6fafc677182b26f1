import { BaseError } from './base-error.ts'

declare const brand: unique symbol

/** Names an organisation in URLs, addresses and commands. */
export type OrgSlug = string & { readonly [brand]: 'OrgSlug' }
/** Names an app; becomes a host name in the platform's domain and below `.internal`. */
export type AppName = string & { readonly [brand]: 'AppName' }

/** Both become labels of host names. Source: RFC 1123, section 2.1; RFC 1035, section 2.3.4. */
const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
const RULE = "use 1 to 63 lower-case letters, digits and '-', with no '-' at either end"

/** Labels with a meaning of their own below `.internal`. */
const RESERVED_APP_NAMES: ReadonlySet<string> = new Set(['global', 'internal', 'localhost', 'vm'])

/** @throws BaseError base.slug_bad */
export function parseOrgSlug(text: string): OrgSlug {
  if (LABEL.test(text)) return text as OrgSlug
  throw new BaseError('base.slug_bad', {
    what: 'not an organisation slug',
    values: { slug: text },
    fix: RULE,
  })
}

/** @throws BaseError base.slug_bad */
export function parseAppName(text: string): AppName {
  if (LABEL.test(text) && !RESERVED_APP_NAMES.has(text)) return text as AppName
  throw new BaseError('base.slug_bad', {
    what: LABEL.test(text) ? 'this app name is reserved' : 'not an app name',
    values: { name: text },
    fix: RULE,
  })
}

/** The slug nearest to a name that a person gave: `My App!` gives `my-app`. May be empty. */
export function slugify(name: string): string {
  return name
    .normalize('NFKD')
    .replaceAll(/\p{Mark}/gu, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, 63)
    .replaceAll(/^-+|-+$/g, '')
}
