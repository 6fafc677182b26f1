import { Datagrams, type DatagramsOptions } from '../datagrams/datagrams.ts'
import type { HandedFlows } from '../datagrams/handed-flows.ts'
import type { HeldSocket } from '../handover/handover-message.ts'
import type { Predecessor } from '../handover/predecessor.ts'
import type { TableName } from '../routing-table/platform-rows.ts'
import { FollowedListeners } from './followed-listeners.ts'

export interface FollowedDatagramsOptions extends Omit<DatagramsOptions, 'inherited'> {
  readonly isEdge: boolean
  readonly predecessor: Pick<Predecessor, 'take' | 'takeAll'>
  /** Of it, which reads no more. */
  readonly flows: HandedFlows
}

/** Public UDP of this host, at the addresses and ports that the routing table wants. */
export class FollowedDatagrams implements Disposable {
  readonly #mesh: DatagramsOptions['mesh']
  readonly #datagrams: Datagrams
  readonly #listeners: FollowedListeners

  /** @throws ProxyError proxy.listen_failed of the address on the mesh */
  constructor({ predecessor, flows, ...options }: FollowedDatagramsOptions) {
    const { mesh } = options
    this.#mesh = mesh
    const ofMesh =
      mesh === undefined ? undefined : predecessor.take('mesh', mesh.address, mesh.port)
    const inherited = { mesh: ofMesh, machines: predecessor.take('machines'), flows }
    this.#datagrams = new Datagrams({ ...options, inherited })
    this.#listeners = new FollowedListeners({
      ...options,
      protocol: 'udp',
      serving: this.#datagrams,
      inherited: predecessor.takeAll('udp'),
    })
  }

  get sockets(): HeldSocket[] {
    const { mesh, machines } = this.#datagrams.sockets
    const held: HeldSocket[] = this.#listeners.sockets.map((one) => ({ ...one, use: 'udp' }))
    if (mesh !== undefined && this.#mesh !== undefined)
      held.push({ ...this.#mesh, use: 'mesh', fd: mesh })
    if (machines !== undefined) held.push({ use: 'machines', address: '', port: 0, fd: machines })
    return held
  }

  rowChanged(table: TableName): void {
    this.#listeners.rowChanged(table)
  }

  /** Reads no more. @returns what goes on in the process that has the sockets by now */
  handOver(): HandedFlows {
    const flows = this.#datagrams.handOver()
    this[Symbol.dispose]()
    return flows
  }

  [Symbol.dispose](): void {
    this.#datagrams[Symbol.dispose]()
    this.#listeners[Symbol.dispose]()
  }
}
