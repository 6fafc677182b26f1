/**
 * For tests: a registry on loopback with an image of busybox, folders for daemons, removed whole, and what stands in for the
 * host's agent of corrosion, which knows of network policies alone.
 */
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { newMachineId, systemRandom } from '#base'
import { startRealRegistry } from '#image'
import { ReflinkDriver } from '#volume'
import type { HostCreate } from '../host.ts'
import type { MachineConfigJson } from '../machine-json.ts'
import { makeBusyboxLayout } from './trial-image.ts'

export class TrialHost implements AsyncDisposable {
  /** Short: sockets lie below. */
  readonly folder: string
  readonly configFile: string
  readonly socket: string
  /** Of the app of `newMachine`: id, selector, rules, as rows have them. */
  policies: readonly (readonly [id: string, selector: string, rules: string])[] = []
  /** False: it is away. */
  hasCorrosion = true
  readonly #registry: Awaited<ReturnType<typeof startRealRegistry>>
  readonly #corrosion: Server

  private constructor(registry: Awaited<ReturnType<typeof startRealRegistry>>, folder: string) {
    this.folder = folder
    this.#corrosion = createServer((request, response) => {
      request.setEncoding('utf8')
      let asked = ''
      request.on('data', (text: string) => {
        asked += text
      })
      request.on('end', () => {
        if (!this.hasCorrosion || !asked.includes('network_policies')) {
          response.writeHead(503).end()
          return
        }
        const rows = this.policies.map((row, at) => ({ row: [at + 1, row] }))
        const lines = [{ columns: ['id', 'selector', 'rules'] }, ...rows, { eoq: { time: 0 } }]
        response.end(lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
      })
    })
    this.configFile = join(folder, 'flyd.toml')
    this.socket = join(folder, 'flyd.sock')
    this.#registry = registry
  }

  /** @param more tables to add to the configuration of the daemon, whose folder it gets. */
  static async open(
    apiPort: number,
    more: (folder: string) => string = () => '',
  ): Promise<TrialHost> {
    const folder = mkdtempSync(join(tmpdir(), 'gf-'))
    const registry = await startRealRegistry(folder)
    const host = new TrialHost(registry, folder)
    try {
      await registry.push(makeBusyboxLayout(folder), 'busybox:v1')
      await once(host.#corrosion.listen(0, '127.0.0.1'), 'listening')
      host.#writeConfig(apiPort, more(folder))
      return host
    } catch (error) {
      await host[Symbol.asyncDispose]()
      throw error
    }
  }

  get keyFile(): string {
    return join(this.folder, 'cluster.key')
  }

  get image(): string {
    return `${this.#registry.host}/busybox:v1`
  }

  get stateFolder(): string {
    return join(this.folder, 's')
  }

  get networkFolder(): string {
    return join(this.folder, 'n')
  }

  #writeConfig(apiPort: number, more: string): void {
    writeFileSync(this.keyFile, '5a'.repeat(32))
    writeFileSync(
      this.configFile,
      `host = "h1"
folder = "${this.stateFolder}"
[region]
code = "ams"
[api]
address = "127.0.0.1"
port = ${apiPort}
key_file = "${this.keyFile}"
[admin]
listen = "127.0.0.1:0"
socket = "${this.socket}"
[corrosion]
url = "http://127.0.0.1:${(this.#corrosion.address() as AddressInfo).port}"
[network]
folder = "${this.networkFolder}"
[pool]
size_gb = 4
[capacity]
cpus = 64
memory_mb = 65536
${more}`,
    )
  }

  /** A create as flaps sends it, but for the reservation. */
  newMachine(config: MachineConfigJson, changes: Partial<HostCreate> = {}): HostCreate {
    const id = newMachineId(systemRandom)
    return {
      ...{ id, name: `m-${id}`, reservation: `r-${id}`, region: 'ams' },
      ...{ appId: 'app1', appName: 'heron', orgId: 'org1', orgSlug: 'birds', networkId: 7 },
      ...{ skipLaunch: false, isCordoned: false, skipSecrets: false, minSecretsVersion: 0 },
      ...{ leaseTtlS: 0, owner: 'test' },
      config: { image: this.image, ...config },
      ...changes,
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#registry[Symbol.asyncDispose]()
    this.#corrosion.closeAllConnections()
    this.#corrosion.close()
    const pool = join(this.stateFolder, 'pool')
    if (existsSync(pool)) {
      const driver = await ReflinkDriver.open({ folder: pool, poolBytes: 4 * 2 ** 30 })
      await driver.unmount()
    }
    rmSync(this.folder, { recursive: true, force: true })
  }
}
