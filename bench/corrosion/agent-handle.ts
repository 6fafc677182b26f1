import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ActorId, Agent } from '#corrosion'
import {
  type CertificateAuthority,
  generateClientCertificate,
  generateServerCertificate,
} from '#trust'
import { SCHEMA } from './table.ts'

export type AgentConfig = Agent['config']

export interface Load {
  /** Who writes: stands in the rows. */
  readonly owner: string
  readonly perSecond: number
  readonly forMs: number
  readonly seed: number
  /** Ids from here on are the writer's own. */
  readonly firstId: number
}

/** What an agent's process can be asked to do. */
export interface AgentCalls {
  open(config: AgentConfig): Promise<{ address: string; actor: ActorId }>
  memberCount(): Promise<number>
  /** From now on notes how long rows take to become an event here. */
  subscribe(owner: string): Promise<void>
  /** Microseconds of events since the last call, of own rows and of others'. */
  takeDelays(): Promise<{ own: number[]; others: number[] }>
  /** User and system, since the process began. */
  cpuUs(): Promise<number>
  /** @returns how many transactions there were */
  write(load: Load): Promise<number>
  /** @returns the newest version */
  fill(rows: { versions: number; rowsPerVersion: number }): Promise<number>
  /** Waits until all versions up to `head` are here. Milliseconds until the first and the last; rows then. */
  catchUp(until: { actor: ActorId; head: number }): Promise<CaughtUp>
}

export interface CaughtUp {
  readonly firstMs: number
  readonly allMs: number
  readonly rows: number
}

type Call = keyof AgentCalls
type Waiting = { resolve: (result: never) => void; reject: (error: Error) => void }

/** A process of Node, and what is asked of it. Dispose of it to end it. */
export class AgentHandle implements AsyncDisposable {
  readonly name: string
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, Waiting>()
  #nextId = 0
  address = ''
  actor: ActorId | undefined

  constructor(name: string, script = 'agent-process.ts') {
    this.name = name
    this.#child = fork(join(import.meta.dirname, script), { serialization: 'advanced' })
    this.#child.on('message', (message) => this.#answered(message as Answer))
    this.#child.on('exit', () => this.#giveUp())
  }

  get pid(): number {
    return this.#child.pid as number
  }

  ask<C extends Call>(call: C, ...argument: Parameters<AgentCalls[C]>): ReturnType<AgentCalls[C]> {
    const { promise, resolve, reject } = Promise.withResolvers<never>()
    const id = this.#nextId
    this.#nextId += 1
    this.#waiting.set(id, { resolve, reject })
    this.#child.send({ id, call, argument: argument[0] }, (error) => error && reject(error))
    return promise as unknown as ReturnType<AgentCalls[C]>
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const exited = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await exited
  }

  #answered({ id, result, error }: Answer): void {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (error === undefined) waiting?.resolve(result)
    else waiting?.reject(new Error(`${this.name}: ${error}`))
  }

  #giveUp(): void {
    for (const { reject } of this.#waiting.values()) reject(new Error(`${this.name} has ended`))
    this.#waiting.clear()
  }
}

interface Answer {
  readonly id: number
  readonly result: never
  readonly error?: string
}

/** Starts an agent on loopback, with its database and certificates in a folder of its own. */
export async function startAgent(init: {
  readonly name: string
  readonly folder: string
  readonly ca: CertificateAuthority
  readonly bootstrap: readonly string[]
}): Promise<AgentHandle> {
  const folder = join(init.folder, init.name)
  const config = await writeConfig(folder, init.ca, init.bootstrap)
  const agent = new AgentHandle(init.name)
  try {
    const { address, actor } = await agent.ask('open', config)
    agent.address = address
    agent.actor = actor
    return agent
  } catch (error) {
    await agent[Symbol.asyncDispose]()
    throw error
  }
}

async function writeConfig(
  folder: string,
  ca: CertificateAuthority,
  bootstrap: readonly string[],
): Promise<AgentConfig> {
  mkdirSync(folder)
  const write = (name: string, text: string) => {
    const file = join(folder, name)
    writeFileSync(file, text, { mode: 0o600 })
    return file
  }
  const server = await generateServerCertificate(ca, { names: ['127.0.0.1'] })
  const client = await generateClientCertificate(ca)
  return {
    db: {
      path: join(folder, 'agent.db'),
      schema_paths: [write('schema.sql', SCHEMA)],
      cache_size_kib: 65_536,
      synchronous: 'normal',
    },
    api: { bind_addr: '127.0.0.1:0' },
    gossip: {
      bind_addr: '127.0.0.1:0',
      bootstrap: [...bootstrap],
      cluster_id: 1,
      tls: {
        ca_file: write('ca.pem', ca.certificatePem),
        cert_file: write('server.pem', server.certificatePem),
        key_file: write('server.key', server.privateKeyPem),
        client: {
          cert_file: write('client.pem', client.certificatePem),
          key_file: write('client.key', client.privateKeyPem),
        },
      },
    },
    admin: { uds_path: join(folder, 'admin.sock') },
    log: { level: 'error' },
  }
}
