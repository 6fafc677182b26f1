import { globalServicesIpv4 } from '#net6'
import type { MachineEntry, ServiceEntry } from '../routing-table/app-tree.ts'
import type { RoutingTable } from '../routing-table/routing-table.ts'
import type { DatagramDrop } from './datagram-drop.ts'
import { DATAGRAM_BYTES_MAX, type DatagramHead } from './datagram-frame.ts'
import { type Endpoint, endpointOf, ipOf, ipText, numberOf } from './endpoint.ts'
import { FlowTable, type FlowTableOptions } from './flow-table.ts'
import type { WorkerFlowRecord } from './handed-flows.ts'

/** A client's conversation with a machine of this host. */
export interface WorkerFlow {
  readonly service: ServiceEntry
  /** The edge that the client reaches. */
  edgeId: string
  /** What the client sent to: answers leave from it. */
  to: Endpoint
}

/**
 * The side of public UDP beside the machines, without I/O: what is handed to them, and to which edge their answers go.
 * Each flow counts as a connection of the service: against its hard limit, and for autostop.
 */
export class WorkerFlows {
  readonly #table: RoutingTable
  readonly flows: FlowTable<WorkerFlow>

  constructor(table: RoutingTable, bounds: Pick<FlowTableOptions<unknown>, 'max' | 'idleMs'> = {}) {
    this.#table = table
    this.flows = new FlowTable({ ...bounds, ended: ({ service }) => service.release() })
  }

  /** @returns the machine's end; `refused`: the edge is to choose another. `nowMs` is monotonic. */
  fromEdge(edgeId: string, head: DatagramHead, nowMs: number): Endpoint | 'refused' {
    const service = this.#serviceOf(head)
    if (service === undefined) return 'refused'
    const at = endOf(service.machine, head.service.port)
    if (at === undefined) return 'refused'
    const key = keyOf(at, head.client)
    const known = this.flows.use(key, nowMs)
    if (known?.service === service) {
      known.edgeId = edgeId // a client's packets may come by another edge from now on
      known.to = head.service
      return at
    }
    this.flows.end(key)
    if (service.load >= service.hardLimit) return 'refused'
    service.take()
    this.flows.begin(key, { service, edgeId, to: head.service }, nowMs)
    return at
  }

  /** @param from where the machine sent it from: its address of fly-global-services */
  fromMachine(
    machine: string,
    from: Endpoint,
    client: Endpoint,
    payloadBytes: number,
    nowMs: number,
  ): WorkerFlow | DatagramDrop {
    if (payloadBytes > DATAGRAM_BYTES_MAX) return 'too_large'
    const flow = this.flows.answer(keyOf(from, client), nowMs)
    if (flow === undefined) return 'no_flow'
    // An address may be another machine's by now, which was asked nothing.
    const { machine: asked } = flow.service
    return asked.id === machine && endOf(asked, from.port)?.ip === from.ip ? flow : 'no_flow'
  }

  /** For the process that follows. */
  handOver(nowMs: number): WorkerFlowRecord[] {
    return [...this.flows.records(nowMs)].map(({ key, flow, idleMs, isAnswered }) => {
      const [at = 0, client = 0] = key.split(' ').map(Number)
      const { service, edgeId, to } = flow
      return [at, client, service.machine.id, edgeId, numberOf(to), idleMs, isAnswered]
    })
  }

  /** Goes on with what the process before had, as far as the machines are here and serve it. */
  adopt(records: readonly WorkerFlowRecord[], nowMs: number): void {
    for (const [at, client, machine, edgeId, toNumber, idleMs, isAnswered] of records) {
      const to = endpointOf(toNumber)
      const service = this.#serviceOf({ machine, service: to })
      const end = service === undefined ? undefined : endOf(service.machine, to.port)
      if (service === undefined || end === undefined || numberOf(end) !== at) continue
      const key = `${at} ${client}`
      service.take()
      this.flows.begin(key, { service, edgeId, to }, nowMs - idleMs)
      if (isAnswered) this.flows.answer(key, nowMs - idleMs)
    }
  }

  #serviceOf({
    machine: id,
    service,
  }: Pick<DatagramHead, 'machine' | 'service'>): ServiceEntry | undefined {
    const machine = this.#table.machine(id)
    const app = machine?.app
    if (machine === undefined || app === undefined || !isHere(machine, this.#table))
      return undefined
    const address = this.#table.address(ipText(service.ip))
    if (address?.kind !== 'v4' || !address.appIds.has(app.id)) return undefined
    return app.route('udp', service.port, this.#table.topology)?.byMachine.get(id)
  }
}

const keyOf = (machine: Endpoint, client: Endpoint): string =>
  `${numberOf(machine)} ${numberOf(client)}`

const isHere = (machine: MachineEntry, table: RoutingTable): boolean =>
  machine.host === table.topology.own && (machine.state === 'started' || machine.isAssumedReady)

/** The port is the one that the client sent to: it is never rewritten. */
function endOf({ privateIpv4 }: MachineEntry, port: number): Endpoint | undefined {
  const address = globalServicesIpv4(privateIpv4)
  return address === undefined ? undefined : { ip: ipOf(address), port }
}
