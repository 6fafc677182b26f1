/**
 * What a machine that continues from a template is told before anybody else speaks to it: it has the
 * template's clock, the template's random numbers and the template's devices.
 */
import type { Duplex } from 'node:stream'
import type { Clock, Random } from '#base'
import { connectAgent } from '../agent/agent.ts'
import type { RuntimeCall } from '../runtime.ts'

const ENTROPY_BYTES = 64

/** Leaves the channel for the next session. @throws AgentError */
export async function freshen(
  channel: Duplex,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
  call: RuntimeCall,
): Promise<void> {
  const agent = await connectAgent(channel, call)
  await Promise.all([
    agent.reseed(Buffer.from(random.bytes(ENTROPY_BYTES)), call),
    agent.findDevices(call),
  ])
  await agent.setClock(clock.nowMs(), call)
  agent.release()
}
