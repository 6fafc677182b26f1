import type { Secret } from './answers.ts'
import type { Call } from './call.ts'
import { ResourceClient } from './resource-client.ts'

/** The secrets of one app: their names, never their values. */
export class SecretsClient extends ResourceClient {
  async list(call?: Call): Promise<readonly Secret[]> {
    return (await this.caller.call<{ secrets: Secret[] }>('GET', this.path, call)).secrets
  }

  /** Null removes a secret. Gives the version that machines need to have all of it. */
  async set(values: Readonly<Record<string, string | null>>, call?: Call): Promise<number> {
    const options = { ...call, body: { values } }
    return (await this.caller.call<{ version: number }>('POST', this.path, options)).version
  }
}
