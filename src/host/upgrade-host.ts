import { GodwitError, pollUntil } from '#base'
import { HostError } from './errors.ts'
import { type HostConfig, hostSocketOf } from './host-config.ts'
import { hostStatus, replaceSupervisor, upgradePart } from './host-socket.ts'
import type { PartStatus } from './host-supervisor.ts'
import { readJoined, withJoined } from './join/joined-members.ts'
import { inStartOrder } from './part-order.ts'
import { partsOf } from './parts/all-parts.ts'
import type { DerivedPart } from './parts/derived-part.ts'

export interface UpgradedPart {
  readonly name: string
  /** `handed_over`: its successor took over its sockets. `new`: it starts with the supervisor. `replaced`: that one. */
  readonly how: 'restarted' | 'handed_over' | 'new' | 'replaced'
  readonly pidBefore: number | null
  readonly pid: number | null
}

export interface UpgradeOptions {
  readonly began?: (name: string) => void
  readonly ended?: (part: UpgradedPart) => void
  /** For a part to be ready again. @default 220 s */
  readonly readyMs?: number
}

/** Less than the supervisor itself waits. */
const READY_MS = 220_000

/**
 * Starts the parts of this host (`only`: some, by name) anew, one after another, with the code that is installed now, each when the one before
 * it and all others are ready; in the end the supervisor, without which parts run on for a moment. Machines run on. Ends at
 * the first that does not come up: the rest is as it was. With `only` the supervisor is left as it is.
 *
 * @throws HostError host.upgrade_failed, host.away, host.part_unknown
 */
export async function upgradeHost(
  config: HostConfig,
  options: UpgradeOptions & { readonly only?: readonly string[] } = {},
): Promise<UpgradedPart[]> {
  const parts = chosen(
    inStartOrder(partsOf(withJoined(config, readJoined(config)))) as DerivedPart[],
    options.only,
  )
  const socket = hostSocketOf(config)
  const done = await upgradeParts(socket, parts, options)
  if (options.only !== undefined) return done
  return [...done, await upgradeSupervisor(socket, options)]
}

/** @throws HostError host.upgrade_failed, host.away */
export async function upgradeSupervisor(
  socket: string,
  { began, ended, readyMs = READY_MS }: UpgradeOptions = {},
): Promise<UpgradedPart> {
  const done = { name: 'supervisor', how: 'replaced', pidBefore: null, pid: null } as const
  began?.(done.name)
  await replaceSupervisor(socket, readyMs)
  await allReady(socket, 'after the supervisor', readyMs)
  ended?.(done)
  return done
}

/** The same with parts in this order. @throws HostError host.upgrade_failed, host.away */
export async function upgradeParts(
  socket: string,
  parts: readonly DerivedPart[],
  { began, ended, readyMs = READY_MS }: UpgradeOptions = {},
): Promise<UpgradedPart[]> {
  await allReady(socket, 'before the upgrade', readyMs)
  const done: UpgradedPart[] = []
  for (const part of parts) {
    began?.(part.name)
    const upgraded = await upgradeOne(socket, part, readyMs)
    await allReady(socket, `after ${part.name}`, readyMs)
    done.push(upgraded)
    ended?.(upgraded)
  }
  return done
}

async function upgradeOne(
  socket: string,
  part: DerivedPart,
  readyMs: number,
): Promise<UpgradedPart> {
  const { name } = part
  const before = statusOf(await hostStatus(socket), name)
  if (before === undefined) return { name, how: 'new', pidBefore: null, pid: null }
  try {
    const { how, parts } = await upgradePart(socket, part, readyMs)
    return { name, how, pidBefore: before.pid, pid: statusOf(parts, name)?.pid ?? null }
  } catch (cause) {
    if (!(cause instanceof GodwitError)) throw cause
    throw failed(`${name} is not ready again`, { part: name, why: cause.what }, cause)
  }
}

/** @throws HostError host.upgrade_failed */
async function allReady(socket: string, when: string, deadlineMs: number): Promise<void> {
  let ill = ''
  const look = async () => {
    const parts = await hostStatus(socket)
    // One that an operator has stopped stays so.
    ill = parts.flatMap(({ name, state }) => (IS_WELL.has(state) ? [] : [name])).join(', ')
    return ill === ''
  }
  try {
    await pollUntil('all parts to be ready', look, { deadlineMs, intervalMs: 200 })
  } catch (cause) {
    if (!(cause instanceof GodwitError) || ill === '') throw cause
    throw failed(`not all parts are ready ${when}`, { parts: ill }, cause)
  }
}

const IS_WELL: ReadonlySet<string> = new Set(['ready', 'ended'])

const statusOf = (parts: readonly PartStatus[], name: string) =>
  parts.find((part) => part.name === name)

/** @throws HostError host.part_unknown */
function chosen(parts: readonly DerivedPart[], only: readonly string[] | undefined) {
  const names = parts.map(({ name }) => name)
  const unknown = only?.find((name) => !names.includes(name))
  if (unknown === undefined) return parts.filter(({ name }) => only?.includes(name) ?? true)
  throw new HostError('host.part_unknown', {
    what: 'this host has no such part',
    values: { part: unknown },
    fix: `there are: ${names.join(', ')}`,
  })
}

const failed = (what: string, values: Record<string, string>, cause: unknown) =>
  new HostError('host.upgrade_failed', {
    what: `the upgrade ended: ${what}`,
    values,
    fix: "see `godwit host status` and the part's log in the folder `logs` of the host; parts that come after it were not touched",
    cause,
  })
