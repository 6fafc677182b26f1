import { type Log, systemClock } from '#base'
import type { ClusterKey } from '../api/cluster-key.ts'
import { HostClients } from '../api/host-clients.ts'
import { refuse } from '../errors.ts'
import type { LocalHost } from '../local-host.ts'
import { Evacuation } from './evacuation.ts'
import { gatewayPlaces } from './gateway-places.ts'
import type { ArrivingHost, LeavingHost } from './move-machine.ts'

export interface OpenEvacuationOptions {
  readonly host: LocalHost
  readonly isDraining: () => boolean
  /** A host's address on the backhaul. @throws FlydError flyd.host_unreached */
  readonly addressOf: (hostId: string, signal: AbortSignal) => Promise<string>
  readonly key: ClusterKey
  /** Of the hosts' APIs. */
  readonly port: number
  /** What gateways answer hosts on; undefined: there is no market to ask, and nothing moves. */
  readonly gatewayPort: number | undefined
  readonly gateways: (signal: AbortSignal) => Promise<readonly string[]>
  readonly log: Log
}

export interface OpenEvacuation extends AsyncDisposable {
  readonly evacuation: Evacuation
}

/** Moves the machines of this host to others over the backhaul. */
export function openEvacuation(options: OpenEvacuationOptions): OpenEvacuation {
  const { host, isDraining, addressOf, key, port, gatewayPort, gateways, log } = options
  const addresses = new Map<string, string>()
  const clients = new HostClients({ addressOf: (id) => addresses.get(id), port, key })
  const there = (hostId: string): ArrivingHost => {
    const called = async (signal: AbortSignal) => {
      addresses.set(hostId, await addressOf(hostId, signal))
      return clients.host(hostId)
    }
    return {
      arrive: async (moved, given, signal) =>
        (await called(signal)).migration.arrive(moved, given, signal),
      releaseIn: async (id, signal) => (await called(signal)).migration.releaseIn(id, signal),
      machine: async (id, signal) => (await called(signal)).machine(id, signal),
    }
  }
  const place =
    gatewayPort === undefined
      ? () =>
          Promise.reject(refuse('flyd.host_unreached', 'unavailable: [secrets] names no gateway'))
      : gatewayPlaces({ gateways, port: gatewayPort, key })
  const evacuation = new Evacuation({
    ...{ here: leavingHost(host), there, place, clock: systemClock, log },
    ...{ view: host.view, isDraining },
  })
  return {
    evacuation,
    async [Symbol.asyncDispose]() {
      await evacuation[Symbol.asyncDispose]()
      clients[Symbol.dispose]()
    },
  }
}

const leavingHost = ({ view, migration }: LocalHost): LeavingHost => ({
  machine: (id) => view.machine(id),
  leave: (id) => migration.leave(id),
  describe: (id) => migration.describe(id),
  note: (id, to) => migration.note(id, to),
  abortOut: (id) => migration.abortOut(id),
  releaseOut: (id) => migration.releaseOut(id),
})
