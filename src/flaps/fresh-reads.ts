import type { Call } from './call.ts'
import { isNotFound } from './errors.ts'

/** Where an answer comes from: the local replica, or the host that owns what was asked for. */
export type Source = 'host' | 'corrosion'

/** A read must not fail because a host is away: the rows say what was last known. */
export async function unlessAway<Found>(
  ask: () => Promise<Found>,
  { log, signal }: Call,
): Promise<Found | undefined> {
  try {
    return await ask()
  } catch (error) {
    signal.throwIfAborted()
    if (isNotFound(error)) return undefined
    log.warn({ err: error }, 'a host did not answer; the rows do')
    return undefined
  }
}

/** What some hosts say of `asked` now; those without an answer are left out. */
export async function askOwners<Found>(
  asked: readonly { readonly id: string; readonly hostId: string }[],
  ask: (hostId: string, id: string) => Promise<Found>,
  call: Call,
): Promise<Map<string, Found>> {
  const fresh = new Map<string, Found>()
  await Promise.all(
    asked.map(async ({ id, hostId }) => {
      const found = await unlessAway(() => ask(hostId, id), call)
      if (found !== undefined) fresh.set(id, found)
    }),
  )
  return fresh
}

/** The rows, newer answers in their places, and what has no row yet after them. */
export function withFresh<Found>(
  rows: readonly { readonly id: string; readonly known: Found }[],
  fresh: ReadonlyMap<string, Found>,
): Found[] {
  const ids = new Set(rows.map(({ id }) => id))
  return [
    ...rows.map(({ id, known }) => fresh.get(id) ?? known),
    ...[...fresh].flatMap(([id, found]) => (ids.has(id) ? [] : [found])),
  ]
}
