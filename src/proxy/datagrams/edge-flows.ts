import type { Random } from '#base'
import { Chooser } from '../balance/chooser.ts'
import { NO_WISH } from '../balance/wish.ts'
import type { ServiceEntry } from '../routing-table/app-tree.ts'
import type { RoutingTable } from '../routing-table/routing-table.ts'
import type { DatagramDrop } from './datagram-drop.ts'
import { DATAGRAM_BYTES_MAX, type DatagramHead } from './datagram-frame.ts'
import { type Endpoint, endpointOf, ipText, numberOf } from './endpoint.ts'
import { FlowTable, type FlowTableOptions } from './flow-table.ts'
import type { EdgeFlowRecord } from './handed-flows.ts'

interface EdgeFlow {
  readonly service: ServiceEntry
  /** Of the machine when the flow began. */
  readonly hostId: string
}

/** Where a client's datagram goes. */
export interface ToWorker {
  readonly hostId: string
  readonly machine: string
}

/**
 * The side of public UDP that clients reach, without I/O: which machine a datagram goes to, and which answers may leave.
 *
 * A client's address and port stay with one machine while it runs and neither side is silent for FLOW_IDLE_MS. The
 * machine is chosen as for a connection, but nothing is started and nothing waits. An answer leaves only to a client that
 * spoke before, and only if it comes from the host that was spoken to.
 */
export class EdgeFlows {
  readonly #table: RoutingTable
  readonly #chooser: Chooser
  readonly flows: FlowTable<EdgeFlow>

  constructor(
    table: RoutingTable,
    random: Random,
    bounds: Pick<FlowTableOptions<unknown>, 'max' | 'idleMs'> = {},
  ) {
    this.#table = table
    this.#chooser = new Chooser(table.topology, random)
    this.flows = new FlowTable(bounds)
  }

  /** `nowMs` is monotonic. */
  fromClient(
    service: Endpoint,
    client: Endpoint,
    payloadBytes: number,
    nowMs: number,
  ): ToWorker | DatagramDrop {
    if (payloadBytes > DATAGRAM_BYTES_MAX) return 'too_large'
    const key = keyOf(service, client)
    const known = this.flows.use(key, nowMs)
    if (known !== undefined && isServing(known, service.port)) {
      return { hostId: known.hostId, machine: known.service.machine.id }
    }
    this.flows.end(key)
    if (this.#table.address(ipText(client.ip)) !== undefined) return 'own_source'
    const route = this.#table.lookup(ipText(service.ip), service.port, 'udp')
    if (typeof route === 'string') return 'no_service'
    const chosen = this.#chooser.choose(route, NO_WISH, nowMs)
    if (typeof chosen === 'string') return 'no_machine'
    const hostId = chosen.machine.host?.id ?? this.#table.topology.ownHostId
    this.flows.begin(key, { service: chosen, hostId }, nowMs)
    return { hostId, machine: chosen.machine.id }
  }

  /** Whether the answer of a machine may leave. */
  fromWorker(hostId: string, head: DatagramHead, nowMs: number): DatagramDrop | undefined {
    const flow = this.flows.answer(keyOf(head.service, head.client), nowMs)
    if (flow === undefined) return 'no_flow'
    return flow.hostId === hostId && flow.service.machine.id === head.machine
      ? undefined
      : 'unknown_host'
  }

  /** A worker does not have the machine: the client's next datagram goes to another, if there is one. */
  refused(hostId: string, head: DatagramHead, nowMs: number): void {
    const key = keyOf(head.service, head.client)
    const flow = this.flows.use(key, nowMs)
    if (flow?.hostId !== hostId || flow.service.machine.id !== head.machine) return
    flow.service.failed(nowMs)
    this.flows.end(key)
  }

  /** For the process that follows. */
  handOver(nowMs: number): EdgeFlowRecord[] {
    return [...this.flows.records(nowMs)].map(({ key, flow, idleMs, isAnswered }) => {
      const [service = 0, client = 0] = key.split(' ').map(Number)
      return [service, client, flow.service.machine.id, flow.hostId, idleMs, isAnswered]
    })
  }

  /** Goes on with what the process before had. What this one knows no machine for begins anew. */
  adopt(records: readonly EdgeFlowRecord[], nowMs: number): void {
    for (const [service, client, machine, hostId, idleMs, isAnswered] of records) {
      const at = endpointOf(service)
      const route = this.#table.lookup(ipText(at.ip), at.port, 'udp')
      const chosen = typeof route === 'string' ? undefined : route.byMachine.get(machine)
      if (chosen === undefined) continue
      const key = `${service} ${client}`
      this.flows.begin(key, { service: chosen, hostId }, nowMs - idleMs)
      if (isAnswered) this.flows.answer(key, nowMs - idleMs)
    }
  }
}

const keyOf = (service: Endpoint, client: Endpoint): string =>
  `${numberOf(service)} ${numberOf(client)}`

/** Failing checks end no flow, as they end no connection. */
function isServing({ service, hostId }: EdgeFlow, port: number): boolean {
  const { machine } = service
  return (
    machine.availability === 'running' &&
    machine.host?.id === hostId &&
    machine.services.has(service) &&
    service.exposes(port)
  )
}
