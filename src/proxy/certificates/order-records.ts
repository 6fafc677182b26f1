import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { errorCode, writeDurably } from '#base'
import type { OrderRecord } from './acme-order.ts'
import type { EdgeKeyRing } from './edge-key-ring.ts'

/** Orders under way, a file each, so that a restart goes on where it was. Private keys are sealed in them. */
export class OrderRecords {
  readonly #folder: string
  readonly #keys: EdgeKeyRing

  constructor(folder: string, keys: EdgeKeyRing) {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    this.#folder = folder
    this.#keys = keys
    for (const name of readdirSync(folder)) {
      if (name.endsWith('.new')) rmSync(join(folder, name)) // of a process that was killed
    }
  }

  /** Undefined: there is none, or it cannot be opened any more. */
  load(hostname: string): OrderRecord | undefined {
    try {
      const saved = JSON.parse(readFileSync(this.#pathOf(hostname), 'utf8')) as OrderRecord
      const sealed = Buffer.from(saved.key, 'base64')
      const key = this.#keys.open(sealed, contextOf(hostname)).toString('utf8')
      return { ...saved, key }
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return undefined
      if (error instanceof SyntaxError) return undefined // torn by a loss of power: order anew
      if (errorCode(error) === 'certificates.sealed_bad') return undefined
      throw error
    }
  }

  /** Durable when it resolves. @throws what the system says */
  async save(record: OrderRecord): Promise<void> {
    const path = this.#pathOf(record.hostname)
    const sealed = this.#keys.seal(Buffer.from(record.key), contextOf(record.hostname))
    const key = sealed.toString('base64')
    await writeDurably(path, JSON.stringify({ ...record, key }))
  }

  remove(hostname: string): void {
    rmSync(this.#pathOf(hostname), { force: true })
  }

  #pathOf(hostname: string): string {
    return join(this.#folder, `${encodeURIComponent(hostname.toLowerCase())}.json`)
  }
}

const contextOf = (hostname: string) => `acme order ${hostname.toLowerCase()}`
