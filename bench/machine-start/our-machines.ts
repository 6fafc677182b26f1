import { once } from 'node:events'
import { closeSync, copyFileSync, fsyncSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { newMachineId, systemRandom } from '#base'
import { connectAgent, type GuestSpec, type Runtime } from '#guest'

export const MEMORY_MIB = 128
const SCRIPT = 'echo up; exec sleep 1000'

/** Everything that a machine needs is there: what is measured begins after this. */
export function prepareMachine(folder: string, rootDisk: string): GuestSpec {
  const id = newMachineId(systemRandom)
  const path = join(folder, `${id}.root`)
  copyFileSync(rootDisk, path)
  settle(path)
  return {
    id,
    cpu: { kind: 'shared', count: 1 },
    memoryMib: MEMORY_MIB,
    rootfs: { serial: 'root', path },
  }
}

/** Its bytes are on the disk, as those of a machine that was stopped: else the mount would wait for the copy's end. */
function settle(path: string): void {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** From the call to the first byte of the entrypoint's output, in ms; `look` sees the machine run. */
export async function startMachine(
  runtime: Runtime,
  spec: GuestSpec,
  look?: () => void,
): Promise<number> {
  const startedMs = performance.now()
  using guest = await runtime.boot(spec)
  const agent = await connectAgent(await guest.openChannel())
  try {
    const firstByte = once(agent.stdout, 'data')
    await agent.configure({
      argv: ['/bin/sh', '-c', SCRIPT],
      env: { PATH: '/bin' },
      hostname: spec.id,
      root: { device: 'root', type: 'ext4' },
    })
    await agent.start()
    await firstByte
    const tookMs = performance.now() - startedMs
    look?.()
    return tookMs
  } finally {
    agent.close()
  }
}
