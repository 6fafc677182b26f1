import type { IpAssignment } from './answers.ts'
import type { Call } from './call.ts'
import { ResourceClient } from './resource-client.ts'

export type IpKind = 'v4' | 'v6' | 'shared_v4' | 'private_v6'

/** Where a private address leads: the network of that name, of that organisation. */
export interface IpPlace {
  readonly region?: string
  readonly network?: string
  readonly org_slug?: string
}

/** The addresses of one app. */
export class AddressesClient extends ResourceClient {
  async list(call?: Call): Promise<readonly IpAssignment[]> {
    return (await this.caller.call<{ ips: IpAssignment[] }>('GET', this.path, call)).ips
  }

  assign(
    wanted: IpKind | (IpPlace & { readonly type: IpKind }),
    call?: Call,
  ): Promise<IpAssignment> {
    const body = typeof wanted === 'string' ? { type: wanted } : wanted
    return this.caller.call('POST', this.path, { ...call, body })
  }

  async release(address: string, call?: Call): Promise<void> {
    await this.caller.call('DELETE', this.of(address), call)
  }
}
