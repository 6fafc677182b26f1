import type { NetworkPolicy } from './answers.ts'
import type { Call } from './call.ts'
import { ResourceClient } from './resource-client.ts'

/** What one app lets through its private network. */
export class NetworkPoliciesClient extends ResourceClient {
  list(call?: Call): Promise<readonly NetworkPolicy[]> {
    return this.caller.call('GET', this.path, call)
  }

  /** A new one, or with an id in place of that one. */
  put(
    policy: Pick<NetworkPolicy, 'name' | 'selector' | 'rules'> & { id?: string },
    call?: Call,
  ): Promise<NetworkPolicy> {
    return this.caller.call('POST', this.path, { ...call, body: policy })
  }

  async remove(id: string, call?: Call): Promise<void> {
    await this.caller.call('DELETE', this.of(id), call)
  }
}
