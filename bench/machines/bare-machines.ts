import { join } from 'node:path'
import type { MachineId } from '#base'
import type { TrialHost } from '#flyd'
import { connectAgent, RuncRuntime } from '#guest'
import { MachineDisks, MachineImages, planMachine, startMachine } from '#machine'
import { hostField, MachineNetworks, openHostNetwork, openSystem, readHostField } from '#net6'
import { MachineRoots, ReflinkDriver } from '#volume'

const GIB = 2 ** 30
const SIZE = { cpu: { kind: 'shared', count: 1 }, memoryMib: 256 } as const

/** The runtime alone, with folders of its own. */
export async function measureBare(trial: TrialHost) {
  const folder = join(trial.folder, 'b')
  const driver = await ReflinkDriver.open({ folder: join(folder, 'pool'), poolBytes: 4 * GIB })
  const roots = await MachineRoots.open({ driver, folder: join(driver.sharedFolder, 'roots') })
  const images = await MachineImages.open({ folder: join(folder, 'images'), bytesMax: GIB })
  const host = (await readHostField(trial.networkFolder, 'h1')) ?? hostField(1)
  const system = openSystem()
  const programs = await openHostNetwork({ system, host })
  const networks = await MachineNetworks.open({ system, programs, folder, host })
  const runtime = new RuncRuntime({ stateDir: join(folder, 'g') })
  const disks = new MachineDisks({ driver, roots })
  const image = await images.prepare({ kind: 'registry', reference: trial.image })
  return {
    /** From nothing to an entrypoint, and away again; `bootMs`: boot and start alone. */
    async round(id: MachineId): Promise<{ makeMs: number; bootMs: number }> {
      const startedMs = performance.now()
      const { guest: link, init } = await networks.make({ id, networkId: 7, kind: 'container' })
      const config = { ...SIZE, network: { ...link, ...init } }
      const prepared = await disks.prepare(id, {}, image.basePath)
      const plan = planMachine({ id, config, image, disks: prepared })
      const bootedMs = performance.now()
      const guest = await runtime.boot(plan.spec)
      const agent = await connectAgent(await guest.openChannel())
      agent.stdout.resume()
      agent.stderr.resume()
      await startMachine({ agent, guest }, plan)
      const endMs = performance.now()
      agent.close()
      await guest.kill()
      await runtime.remove(id)
      await networks.remove(id)
      await disks.remove(id)
      return { makeMs: endMs - startedMs, bootMs: endMs - bootedMs }
    },
    async [Symbol.asyncDispose]() {
      image[Symbol.dispose]()
      await driver.unmount()
    },
  }
}
