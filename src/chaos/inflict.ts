import { systemClock } from '#base'
import type { PlanetPlatform } from '#box'
import { describeFault, type Fault, type FaultKind } from './faults.ts'

interface Step {
  readonly atMs: number
  readonly text: string
  act(): Promise<void>
}

/** Does what the timeline says, when it says. What cannot be done is told, and the rest goes on. */
export async function inflict(
  platform: PlanetPlatform,
  faults: readonly Fault[],
  { tell, signal }: { tell: (text: string) => void; signal: AbortSignal },
): Promise<void> {
  const startedMs = systemClock.monotonicMs()
  for (const { atMs, text, act } of stepsOf(platform, faults)) {
    await systemClock.sleep(Math.max(0, startedMs + atMs - systemClock.monotonicMs()), signal)
    tell(text)
    await act().catch((error: unknown) => tell(`  it could not be done: ${String(error)}`))
  }
}

function stepsOf(platform: PlanetPlatform, faults: readonly Fault[]): Step[] {
  const steps = faults.flatMap((fault): Step[] => {
    const text = describeFault(fault)
    const begin = { atMs: fault.atMs, text, act: () => breakIt(platform, fault) }
    if (fault.kind === 'kill_part') return [begin] // its supervisor mends it
    return [
      begin,
      { atMs: fault.healMs, text: `mended: ${text}`, act: () => mend(platform, fault) },
    ]
  })
  return steps.sort((a, b) => a.atMs - b.atMs)
}

async function breakIt(platform: PlanetPlatform, fault: FaultKind): Promise<void> {
  const { world } = platform
  if (fault.kind === 'kill_host') return await world.kill(fault.host)
  if (fault.kind === 'cut_link') {
    return await world.cut(...fault.ends, { silent: fault.silent })
  }
  if (!world.node(fault.host).isUp) return
  const found = (await platform.parts(fault.host)).find(({ name }) => name === fault.part)
  if (found?.pid == null) return
  await world.node(fault.host).run('kill', ['-9', String(found.pid)])
}

export async function mend(platform: PlanetPlatform, fault: FaultKind): Promise<void> {
  const { world } = platform
  if (fault.kind === 'cut_link') return await world.heal(...fault.ends)
  if (fault.kind !== 'kill_host') return
  await world.boot(fault.host)
  await platform.startHost(fault.host)
}
