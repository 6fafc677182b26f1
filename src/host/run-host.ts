import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { errorCode, type Log, systemClock, systemRandom } from '#base'
import { ApiClient } from '#corrosion'
import { CertificateFollower } from './certificates/follow-certificates.ts'
import { type HostConfig, hostSocketOf } from './host-config.ts'
import { serveHostSocket } from './host-socket.ts'
import { HostSupervisor } from './host-supervisor.ts'
import { followMembers } from './join/follow-members.ts'
import { keepJoined, readJoined, withJoined } from './join/joined-members.ts'
import { takeLeftParts } from './left-parts.ts'
import { partsOf } from './parts/all-parts.ts'
import { AGENT_URL } from './parts/corrosion-part.ts'
import type { DerivedPart } from './parts/derived-part.ts'
import { preparePart } from './prepare-part.ts'

/** A server that is very busy is slow, not ill: to end its parts would make it busier. */
const POLICY = { startDeadlineMs: 180_000, probePeriodMs: 2_000, probeFailuresMax: 15 }

export interface RunningHost extends AsyncDisposable {
  readonly supervisor: HostSupervisor
}

/**
 * Runs a host's parts until disposed. What a supervisor that was killed left of them is ended first, each
 * before its own start; what the program before this one left in the same process runs on. Machines outlive all of it.
 *
 * @throws HostError host.running; HostError host.order_bad
 */
export async function runHost(
  file: HostConfig,
  { log, replaceProgram }: { readonly log: Log; readonly replaceProgram?: () => void },
): Promise<RunningHost> {
  const known = readJoined(file)
  const config = withJoined(file, known)
  const parts = partsOf(config)
  const runDir = join(config.run_folder, 'parts')
  const logDir = join(config.folder, 'logs')
  const supervisor = new HostSupervisor({ parts, runDir, logDir, log, policy: POLICY })
  const client = new ApiClient({ url: AGENT_URL })
  let present = config
  const certificates = new CertificateFollower({
    ...{ config: () => present, client, clock: systemClock, random: systemRandom, log },
  })
  const socket = await serveHostSocket(supervisor, hostSocketOf(config), log, {
    renew: (signal) => certificates.renewNow(signal),
    ...(replaceProgram === undefined ? {} : { replaceProgram }),
  })
  for (const folder of [runDir, logDir]) mkdirSync(folder, { recursive: true, mode: 0o700 })
  for (const part of parts) preparePart(part)
  supervisor.start(takeLeftParts(runDir))
  const ending = new AbortController()
  const following = followMembers({
    ...{ client, known, clock: systemClock, log },
    onChange(joined) {
      keepJoined(file, joined)
      present = withJoined(file, joined)
      reloadChanged(supervisor, partsOf(present), { log, signal: ending.signal })
    },
  })
  certificates.start()
  return {
    supervisor,
    async [Symbol.asyncDispose]() {
      certificates[Symbol.dispose]()
      following[Symbol.dispose]()
      ending.abort(new Error('the host is stopped'))
      await supervisor.stop()
      await socket[Symbol.asyncDispose]()
    },
  }
}

/** What follows from the members is written for the next start of each part; those that can read it at once do. */
function reloadChanged(
  supervisor: HostSupervisor,
  parts: readonly DerivedPart[],
  { log, signal }: { log: Log; signal: AbortSignal },
): void {
  for (const part of parts) {
    const isChanged = part.files.some(({ path, text }) => textOf(path) !== text)
    preparePart(part)
    if (!isChanged || part.reloadSignal === undefined) continue
    supervisor.reload(part.name, signal).catch((err: unknown) => {
      if (!signal.aborted) log.error({ err, part: part.name }, 'a part does not know all members')
    })
  }
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
}
