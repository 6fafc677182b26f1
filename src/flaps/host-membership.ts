import type { Log } from '#base'
import { MemberWatch } from '#corrosion'
import type { HostStatus } from '#flyd'

export interface HostMembershipOptions {
  /** The admin socket of this host's corrosion agent. */
  readonly socket: string
  /** The host that this instance runs on: it has no doubts about itself. */
  readonly hostId: string
  readonly log: Log
}

/** Which hosts are there in the eyes of the agent of this host. Before it has said anything all are. */
export class HostMembership implements Disposable {
  readonly #hostId: string
  readonly #members: MemberWatch

  constructor({ hostId, ...options }: HostMembershipOptions) {
    this.#hostId = hostId
    this.#members = new MemberWatch(options)
  }

  /** @param gossipIp where it gossips; undefined: nobody knows yet */
  statusOf(hostId: string, gossipIp: string | undefined): HostStatus {
    if (hostId === this.#hostId || gossipIp === undefined) return 'ok'
    return this.#members.isPresent(gossipIp) === false ? 'unreachable' : 'ok'
  }

  [Symbol.dispose](): void {
    this.#members[Symbol.dispose]()
  }
}
