import { type Log, systemClock, systemRandom } from '#base'
import { type ApiClient, MemberWatch } from '#corrosion'
import type { MachineView } from '../model/machine-view.ts'
import { clusterRows } from './cluster-rows.ts'
import type { WatchedMachines } from './standby.ts'
import { StandbyWatch } from './standby-watch.ts'

/** Whose standbys they are: reads `view`, and is told what they stand by for. */
export interface WatchingHost {
  readonly view: Pick<MachineView, 'machines'>
  watchedChanged(watched: WatchedMachines): Promise<void>
}

export interface OpenStandbyWatchOptions {
  readonly host: WatchingHost
  readonly hostId: string
  /** Of the agent of this host. */
  readonly client: ApiClient
  /** The admin socket of the same agent. */
  readonly socket: string
  readonly log: Log
}

/** Starts and stops the standbys of this host by what its agent knows of others. */
export function openStandbyWatch(options: OpenStandbyWatchOptions): AsyncDisposable {
  const { host, hostId, client, socket, log } = options
  const members = new MemberWatch({ socket, log })
  const watch = new StandbyWatch({
    ...{ hostId, clock: systemClock, random: systemRandom, log },
    ...clusterRows(client, (ip) => members.isPresent(ip)),
    machines: () => host.view.machines(),
    changed: (watched) => host.watchedChanged(watched),
  })
  return {
    async [Symbol.asyncDispose]() {
      members[Symbol.dispose]()
      await watch[Symbol.asyncDispose]()
    },
  }
}
