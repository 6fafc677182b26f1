import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import { errorCode } from '#base'
import type { HostConfig, HostMember } from '../host-config.ts'
import { memberSchema } from '../host-config.ts'

const { host, region, address, nkey } = memberSchema.properties

/** What became of the cluster's members since it was founded: rows of `members`. */
const joinedSchema = Type.Array(
  Type.Union([
    Type.Object({
      ...{ host, region, address, nkey, state: Type.Literal('member') },
      roles: Type.Array(Type.Union([Type.Literal('worker'), Type.Literal('edge')]), {
        minItems: 1,
      }),
    }),
    Type.Object({ host, state: Type.Literal('removed') }),
  ]),
)
export type JoinedMember = Static<typeof joinedSchema>[number]

/** Those that can be. What else a row says is left out: it must not end a supervisor. */
export const validMembers = (rows: readonly unknown[]): JoinedMember[] =>
  rows.filter((row) => Value.Check(joinedSchema, [row])) as JoinedMember[]

/**
 * The host's file with all members as they are now. No row takes away this host, a gateway or the host of NATS, or
 * makes another host one of these: that is the operator's to write.
 */
export function withJoined(config: HostConfig, joined: readonly JoinedMember[]): HostConfig {
  const isFixed = (member: HostMember) =>
    member.host === config.host ||
    member.roles.some((role) => role === 'gateway' || role === 'nats')
  const fixed = new Set(config.members.filter(isFixed).map((member) => member.host))
  const since = joined.filter((one) => !fixed.has(one.host))
  const told = new Set(since.map((one) => one.host))
  return {
    ...config,
    members: [
      ...config.members.filter((member) => !told.has(member.host)),
      ...since.flatMap((one): HostMember[] => {
        if (one.state === 'removed') return []
        const { state: _, ...member } = one
        return [member]
      }),
    ],
  }
}

const fileOf = ({ folder }: HostConfig) => join(folder, 'members.json')

/** As they were last known: a start needs no cluster for it. Empty: nothing is kept, or nothing that could be. */
export function readJoined(config: HostConfig): JoinedMember[] {
  try {
    const rows: unknown = JSON.parse(readFileSync(fileOf(config), 'utf8'))
    return Array.isArray(rows) ? validMembers(rows) : []
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || error instanceof SyntaxError) return []
    throw error
  }
}

export function keepJoined(config: HostConfig, joined: readonly JoinedMember[]): void {
  const file = fileOf(config)
  writeFileSync(`${file}.new`, `${JSON.stringify(joined, null, 2)}\n`, { mode: 0o600 })
  renameSync(`${file}.new`, file)
}
