import type { Certificate } from './answers.ts'
import type { Call } from './call.ts'
import { ResourceClient } from './resource-client.ts'

const CERTIFICATES_MAX = 500

/** The certificates of one app, by host name. */
export class CertificatesClient extends ResourceClient {
  async list(call?: Call): Promise<readonly Certificate[]> {
    const options = { ...call, query: { limit: CERTIFICATES_MAX } }
    type Listed = { certificates: Certificate[] }
    return (await this.caller.call<Listed>('GET', this.path, options)).certificates
  }

  /** Asks for a certificate for a host name of the app's own. */
  add(hostname: string, call?: Call): Promise<Certificate> {
    return this.caller.call('POST', `${this.path}/acme`, { ...call, body: { hostname } })
  }

  /** With what DNS says now. */
  check(hostname: string, call?: Call): Promise<Certificate> {
    return this.caller.call('POST', `${this.of(hostname)}/check`, call)
  }

  /** Brings a certificate. */
  import(
    hostname: string,
    { fullchain, privateKey }: { readonly fullchain: string; readonly privateKey: string },
    call?: Call,
  ): Promise<Certificate> {
    const body = { hostname, fullchain, private_key: privateKey }
    return this.caller.call('POST', `${this.path}/custom`, { ...call, body })
  }

  /** The name stays. @param kind `custom`: what somebody brought; `acme`: what the platform gets */
  removeOne(hostname: string, kind: 'custom' | 'acme', call?: Call): Promise<Certificate> {
    return this.caller.call('DELETE', `${this.of(hostname)}/${kind}`, call)
  }

  async remove(hostname: string, call?: Call): Promise<void> {
    await this.caller.call('DELETE', this.of(hostname), call)
  }
}
