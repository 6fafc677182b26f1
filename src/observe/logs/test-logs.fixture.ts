/** For tests: a real nats-server with the log of machines, and links to it as hosts and the API have them. */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { nkeys } from '@nats-io/transport-node'
import { createLog, pollUntil } from '#base'
import {
  NatsLink,
  type NatsServer,
  parseClientId,
  parseHostId,
  parseRegion,
  startNatsServer,
} from '#market'

const log = createLog({ part: 'observe', level: 'error' })
export const LOG_BYTES = 16 * 2 ** 20
const soon = { deadlineMs: 60_000 }

/** A nats-server that keeps logs, a host that sends and an API that reads. */
export class TestLogs {
  readonly server: NatsServer
  readonly #t: TestContext
  readonly #seeds: { host: string; client: string }

  private constructor(t: TestContext, server: NatsServer, seeds: { host: string; client: string }) {
    this.#t = t
    this.server = server
    this.#seeds = seeds
  }

  static async start(t: TestContext): Promise<TestLogs> {
    const folder = mkdtempSync(join(tmpdir(), 'godwit-observe-'))
    t.after(() => rmSync(folder, { recursive: true }))
    const [host, client] = [nkeys.createUser(), nkeys.createUser()]
    const server = await startNatsServer({
      config: {
        name: 'test',
        listen: `127.0.0.1:${await freePort()}`,
        users: [
          {
            ...{ kind: 'host', nkey: host.getPublicKey() },
            ...{ host: parseHostId('ams-1'), region: parseRegion('ams') },
          },
          { kind: 'client', nkey: client.getPublicKey(), client: parseClientId('flaps1') },
        ],
        logs: { storeDir: join(folder, 'logs'), bytesMax: 2 * LOG_BYTES },
      },
      folder,
      log,
      policy: { backoff: { baseMs: 10, capMs: 50 }, probePeriodMs: 25 },
    })
    t.after(() => server[Symbol.asyncDispose]())
    const text = (pair: typeof host) => new TextDecoder().decode(pair.getSeed())
    return new TestLogs(t, server, { host: text(host), client: text(client) })
  }

  async link(who: 'host' | 'client'): Promise<NatsLink> {
    const backoff = { baseMs: 10, capMs: 50 }
    const options = { servers: [this.server.url], seed: this.#seeds[who], name: who, log, backoff }
    const link = new NatsLink(options)
    this.#t.after(() => link[Symbol.asyncDispose]())
    await pollUntil('a connection to NATS', () => link.isConnected, soon)
    return link
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((closed) => server.close(closed))
  return typeof address === 'object' ? (address?.port ?? 0) : 0
}
