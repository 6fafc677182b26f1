import type { Random } from '#base'

/** What goes wrong, where, when, and how long until it is mended. Milliseconds from the start. */
export type Fault = {
  readonly atMs: number
  readonly healMs: number
} & FaultKind

export type FaultKind =
  /** A daemon dies; its supervisor starts it again. */
  | { readonly kind: 'kill_part'; readonly host: string; readonly part: string }
  /** A host loses its power, with all that runs on it. */
  | { readonly kind: 'kill_host'; readonly host: string }
  /** `silent`: frames are lost and no router is told. */
  | {
      readonly kind: 'cut_link'
      readonly ends: readonly [string, string]
      readonly silent: boolean
    }

export interface Targets {
  /** Each with the daemons that may die there. */
  readonly hosts: readonly { readonly name: string; readonly parts: readonly string[] }[]
  /** Hosts that may lose their power. */
  readonly mortal: readonly string[]
  readonly links: readonly (readonly [string, string])[]
}

const FIRST_MS = 5_000
const GAP_MS = { min: 3_000, spread: 9_000 }
const OUTAGE_MS = { min: 8_000, spread: 25_000 }
const HOST_OUTAGE_MS = { min: 20_000, spread: 30_000 }
/** Of ten faults so many are daemons, so many links; the others are hosts. */
const PARTS_OF_TEN = 5
const LINKS_OF_TEN = 4

/**
 * A timeline by seed: the same one every time. All is mended before `durationMs`, one host is without power at
 * a time, and one link is cut: what the platform says it survives.
 */
export function planFaults(random: Random, targets: Targets, durationMs: number): Fault[] {
  const faults: Fault[] = []
  const freeAtMs = { link: 0, host: 0 }
  for (let atMs = FIRST_MS; ; atMs += GAP_MS.min + random.int(GAP_MS.spread)) {
    const dice = random.int(10)
    const kind = dice < PARTS_OF_TEN ? 'part' : dice < PARTS_OF_TEN + LINKS_OF_TEN ? 'link' : 'host'
    const outage = kind === 'host' ? HOST_OUTAGE_MS : OUTAGE_MS
    const healMs = kind === 'part' ? atMs : atMs + outage.min + random.int(outage.spread)
    if (atMs >= durationMs) return faults
    if (healMs >= durationMs) continue
    if (kind === 'part') faults.push({ atMs, healMs, ...partFault(random, targets) })
    else if (freeAtMs[kind] <= atMs) {
      const fault = kind === 'link' ? linkFault(random, targets) : hostFault(random, targets)
      faults.push({ atMs, healMs, ...fault })
      freeAtMs[kind] = healMs + 1
    }
  }
}

function partFault(random: Random, { hosts }: Targets): FaultKind {
  const { name: host, parts } = pick(random, hosts)
  return { kind: 'kill_part', host, part: pick(random, parts) }
}

const linkFault = (random: Random, { links }: Targets): FaultKind => ({
  ...{ kind: 'cut_link', ends: pick(random, links), silent: random.int(2) === 0 },
})

const hostFault = (random: Random, { mortal }: Targets): FaultKind => ({
  ...{ kind: 'kill_host', host: pick(random, mortal) },
})

function pick<T>(random: Random, from: readonly T[]): T {
  const one = from[random.int(from.length)]
  if (one === undefined) throw new RangeError('nothing to pick from')
  return one
}

export function describeFault(fault: FaultKind): string {
  if (fault.kind === 'kill_part') return `kill -9 ${fault.part} of ${fault.host}`
  if (fault.kind === 'kill_host') return `${fault.host} loses its power`
  return `the link ${fault.ends.join(' - ')} is cut${fault.silent ? ' silently' : ''}`
}
