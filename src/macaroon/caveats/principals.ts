import { badJson, type Codec, struct, text, unsigned, unsigned32 } from '../body-codec.ts'
import type { CaveatBodies, CaveatType } from '../caveat.ts'
import { type Answer, kind, type Subject } from '../caveat-kind.ts'
import { badCaveat, forRole, invalidAccess, unauthenticated, unauthorized } from '../denial.ts'
import type { DischargeRequest } from '../discharge-request.ts'
import { malformed, overLimit } from '../errors.ts'
import { GOOGLE_ID_BYTES_MAX } from '../limits.ts'
import { Role, roleNeeded, roleSuffices } from '../roles.ts'
import { type WireInteger, wireInteger } from '../wire-integer.ts'

/**
 * The caveats about people. Those of tickets say who must log in with the third party; attestations
 * say in a discharge who did; roles and IsUser stand in permission tokens.
 */

const idBody = (name: string, jsonField: string) =>
  struct<CaveatBodies['ConfineUser']>(name, [{ key: 'id', json: jsonField, codec: unsigned }])

/** A ticket's caveat: some login must fit; `got` shows those that did not. */
function confine<Login>(
  subject: Subject,
  wanted: string,
  options: {
    logins(request: DischargeRequest): readonly Login[] | undefined
    fits(login: Login): boolean
    shown(login: Login): unknown
  },
): Answer {
  if (subject.type !== 'discharge') return invalidAccess()
  const logins = options.logins(subject.request) ?? []
  if (logins.some((login) => options.fits(login))) return undefined
  const got = logins.map((login) => options.shown(login))
  const text = got.length === 0 ? wanted : `${wanted} (got ${got.map(String).join(' ')})`
  return unauthenticated(text, { wanted, got })
}

const confineUser = kind(8, 'ConfineUser', {
  body: idBody('ConfineUser', 'id'),
  check: ({ id }, subject) =>
    confine(subject, `Fly.io account ${id}`, {
      logins: ({ flyio }) => flyio,
      fits: ({ userId }) => userId === id,
      shown: ({ userId }) => userId,
    }),
})

const confineOrganization = kind(9, 'ConfineOrganization', {
  body: idBody('ConfineOrganization', 'id'),
  check: ({ id }, subject) =>
    confine(subject, `Fly.io account with access to organization ${id}`, {
      logins: ({ flyio }) => flyio,
      fits: ({ organizationIds }) => organizationIds.includes(id),
      shown: ({ organizationIds }) => organizationIds,
    }),
})

const confineGoogleHd = kind(19, 'ConfineGoogleHD', {
  body: text,
  check: (hostedDomain, subject) =>
    confine(subject, `${hostedDomain} Google account`, {
      logins: ({ google }) => google,
      fits: ({ hd }) => hd === hostedDomain,
      shown: ({ hd }) => hd,
    }),
})

const confineGitHubOrg = kind(20, 'ConfineGitHubOrg', {
  body: unsigned,
  check: (org, subject) =>
    confine(subject, `GitHub account with access to organization ${org}`, {
      logins: ({ github }) => github,
      fits: ({ orgIds }) => orgIds.includes(org),
      shown: ({ orgIds }) => orgIds,
    }),
})

const maxValidity = kind(21, 'MaxValidity', {
  body: unsigned,
  check(seconds, subject) {
    if (subject.type !== 'discharge') return invalidAccess()
    const askedS = (subject.request.expiryMs - subject.nowMs) / 1000
    if (askedS <= seconds) return undefined
    return unauthorized(`${askedS}s exceeds max validity window (${seconds}s)`, { askedS, seconds })
  },
})

const isUser = kind(10, 'IsUser', {
  body: idBody('IsUser', 'uint64'), // the field really has this name
  check: () => undefined,
})

function checkRoles(allowed: number, subject: Subject): Answer {
  if (subject.type !== 'access') return invalidAccess()
  const needed = roleNeeded(subject.access)
  return roleSuffices(allowed, needed) ? undefined : forRole(allowed, needed)
}

const allowedRoles = kind(30, 'AllowedRoles', { body: unsigned32, check: checkRoles })

const isMember = kind(22, 'IsMember', {
  aliases: ['NoAdminFeatures'],
  body: struct<CaveatBodies['IsMember']>('IsMember', []),
  check: (_body, subject) => checkRoles(Role.member, subject),
})

/** A big-endian integer of any size, without leading zeros; zero has no bytes. */
const bigInteger: Codec<WireInteger> = {
  read(reader) {
    const bytes = reader.readBytes()
    if (bytes[0] === 0) throw malformed('a big integer has leading zeros', { at: reader.offset })
    if (bytes.length > GOOGLE_ID_BYTES_MAX) {
      throw overLimit('a big integer is too long', {
        limit: GOOGLE_ID_BYTES_MAX,
        got: bytes.length,
      })
    }
    return wireInteger(BigInt(`0x0${Buffer.from(bytes).toString('hex')}`))
  },
  write(writer, value) {
    const hex = value === 0 ? '' : value.toString(16)
    writer.writeBytes(Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex'))
  },
  toJson: (value) => value,
  fromJson(json) {
    const isInteger = typeof json === 'bigint' || Number.isSafeInteger(json)
    const value = isInteger ? (json as WireInteger) : -1
    if (value < 0 || BigInt(value) >> BigInt(8 * GOOGLE_ID_BYTES_MAX) > 0n) {
      throw badJson(`an integer of at most ${GOOGLE_ID_BYTES_MAX} bytes`, json)
    }
    return value
  },
  zero: 0,
}

/** Inside IfPresent it would be a condition, which it is not. */
const attestation = <Type extends CaveatType>(
  number: number,
  type: Type,
  body: Codec<CaveatBodies[Type]>,
) => kind<Type>(number, type, { isAttestation: true, body, check: () => badCaveat() })

export const principalKinds = [
  confineUser,
  confineOrganization,
  isUser,
  confineGoogleHd,
  confineGitHubOrg,
  maxValidity,
  isMember,
  attestation(23, 'FlyioUserID', unsigned),
  attestation(24, 'GitHubUserID', unsigned),
  attestation(25, 'GoogleUserID', bigInteger),
  allowedRoles,
] as const
