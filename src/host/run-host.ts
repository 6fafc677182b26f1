import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Log } from '#base'
import { type HostConfig, hostSocketOf } from './host-config.ts'
import { serveHostSocket } from './host-socket.ts'
import { HostSupervisor } from './host-supervisor.ts'
import { partsOf } from './parts/all-parts.ts'
import { preparePart } from './prepare-part.ts'

/** A server that is very busy is slow, not ill: to end its parts would make it busier. */
const POLICY = { startDeadlineMs: 180_000, probePeriodMs: 2_000, probeFailuresMax: 15 }

export interface RunningHost extends AsyncDisposable {
  readonly supervisor: HostSupervisor
}

/**
 * Runs a host's parts until disposed. What a supervisor that was killed left of them is ended first, each
 * before its own start. Machines outlive all of it.
 *
 * @throws HostError host.running; HostError host.order_bad
 */
export async function runHost(config: HostConfig, { log }: { log: Log }): Promise<RunningHost> {
  const parts = partsOf(config)
  const runDir = join(config.run_folder, 'parts')
  const logDir = join(config.folder, 'logs')
  const supervisor = new HostSupervisor({ parts, runDir, logDir, log, policy: POLICY })
  const socket = await serveHostSocket(supervisor, hostSocketOf(config), log)
  for (const folder of [runDir, logDir]) mkdirSync(folder, { recursive: true, mode: 0o700 })
  for (const part of parts) preparePart(part)
  supervisor.start()
  return {
    supervisor,
    async [Symbol.asyncDispose]() {
      await supervisor.stop()
      await socket[Symbol.asyncDispose]()
    },
  }
}
