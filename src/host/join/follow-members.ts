import { type Clock, errorCode, type Log } from '#base'
import { type ApiClient, asObject } from '#corrosion'
import { type JoinedMember, validMembers } from './joined-members.ts'

const PERIOD_MS = 2_000
const ANSWER_MS = 10_000
const SQL = 'SELECT name, state, region, address, roles, nkey FROM members ORDER BY name'

export interface FollowMembersOptions {
  readonly client: Pick<ApiClient, 'query'>
  /** As known before. */
  readonly known: readonly JoinedMember[]
  /** Called with what is there now, whenever that is something else. */
  readonly onChange: (joined: readonly JoinedMember[]) => void
  readonly clock: Clock
  readonly log: Log
}

/** Looks at what this host's replica says of members, until disposed. While it is away nothing changes. */
export function followMembers(options: FollowMembersOptions): Disposable {
  const { client, known, onChange, clock, log } = options
  const ending = new AbortController()
  let last = JSON.stringify(known)
  const look = async () => {
    const rows: unknown[] = []
    const signal = AbortSignal.any([ending.signal, AbortSignal.timeout(ANSWER_MS)])
    for await (const event of client.query(SQL, [], { signal })) {
      if (event.kind === 'row') rows.push(memberOf({ ...asObject(event.columns, event.cells) }))
    }
    const joined = validMembers(rows)
    const text = JSON.stringify(joined)
    if (text === last) return
    onChange(joined)
    last = text
  }
  const follow = async () => {
    for (let isTold = false; !ending.signal.aborted; ) {
      try {
        await look()
        isTold = false
      } catch (err) {
        if (ending.signal.aborted) return
        if (!isTold) log.debug({ err, code: errorCode(err) }, 'members cannot be read')
        isTold = true
      }
      await clock.sleep(PERIOD_MS, ending.signal).catch(() => undefined) // told to end
    }
  }
  void follow()
  return { [Symbol.dispose]: () => ending.abort(new Error('the host is stopped')) }
}

function memberOf(row: Readonly<Record<string, unknown>>): unknown {
  const { name: host, state, region, address, roles, nkey } = row
  if (state === 'removed') return { host, state }
  return { host, state, region, address, roles: parsed(roles), nkey }
}

function parsed(roles: unknown): unknown {
  try {
    return JSON.parse(String(roles))
  } catch {
    return undefined // the row is left out as one that cannot be
  }
}
