import type { TestContext } from 'node:test'
import { type Agent, connectAgent } from '../agent/agent.ts'
import type { GuestConfig } from '../agent/machine-config.ts'
import { withDevices } from '../guest-devices.ts'
import type { GuestSpec } from '../guest-spec.ts'
import type { Guest } from '../runtime.ts'
import type { Bench } from './bench.ts'
import { scriptConfig } from './script-config.ts'

export interface Running {
  readonly spec: GuestSpec
  readonly guest: Guest
  readonly agent: Agent
}

/** A machine that is there; removed after the test. */
export async function boot(t: TestContext, bench: Bench, changes?: Partial<GuestSpec>) {
  const spec = bench.disks().spec(changes)
  const guest = await bench.runtime().boot(spec)
  t.after(async () => {
    guest[Symbol.dispose]()
    await bench.runtime().remove(spec.id)
  })
  return { spec, guest }
}

/** A machine whose entrypoint is a shell script, which was started. */
export async function run(
  t: TestContext,
  bench: Bench,
  script: string,
  { config, ...changes }: Partial<GuestSpec> & { config?: Partial<GuestConfig> } = {},
): Promise<Running> {
  const { spec, guest } = await boot(t, bench, changes)
  const agent = await connectAgent(await guest.openChannel())
  t.after(() => agent.close())
  await agent.configure(withDevices(guest, scriptConfig(spec, script, config)))
  await agent.start()
  return { spec, guest, agent }
}
