import { randomUUID } from 'node:crypto'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { type ActorId, actorIdBytes, actorIdOf, parseActorId } from '../changes/actor-id.ts'

/**
 * Small numbers that stand for actor ids in clocks and logs. This node is 0, unless its database came from
 * another node's backup: then it has taken a number of its own, which `crsql_master` names.
 */
export class Sites {
  readonly #insert: StatementSync
  readonly selfOrdinal: number
  readonly #ids = new Map<number, ActorId>()
  readonly #ordinals = new Map<ActorId, number>()

  /** `newId` makes up the id of a new database. */
  constructor(database: DatabaseSync, newId: () => ActorId = () => parseActorId(randomUUID())) {
    this.#insert = database.prepare(`INSERT INTO crsql_site_id (ordinal, site_id) VALUES (?, ?)`)
    const self = database.prepare(`SELECT value FROM crsql_master WHERE key = 'self'`).get()
    this.selfOrdinal = (self?.['value'] as number | undefined) ?? 0
    this.#load(database)
    if (!this.#ids.has(0)) this.#add(0, newId())
  }

  get self(): ActorId {
    return this.#ids.get(this.selfOrdinal) as ActorId
  }

  /** Of an actor that may be new. Inside a transaction: on rollback call `reload`. */
  ordinalOf(actor: ActorId): number {
    return this.#ordinals.get(actor) ?? this.#add(this.#ids.size, actor)
  }

  known(actor: ActorId): number | undefined {
    return this.#ordinals.get(actor)
  }

  idOf(ordinal: number): ActorId {
    return this.#ids.get(ordinal) as ActorId
  }

  /** Hex digits compare as the bytes do. */
  compare(a: number, b: number): number {
    if (a === b) return 0
    return this.idOf(a) < this.idOf(b) ? -1 : 1
  }

  /** After a rollback: forgets ordinals that were not kept. */
  reload(database: DatabaseSync): void {
    this.#ids.clear()
    this.#ordinals.clear()
    this.#load(database)
  }

  #load(database: DatabaseSync): void {
    const rows = database.prepare(`SELECT ordinal, site_id FROM crsql_site_id`).all()
    for (const { ordinal, site_id: id } of rows) {
      this.#note(ordinal as number, actorIdOf(id as Uint8Array))
    }
  }

  #add(ordinal: number, actor: ActorId): number {
    this.#insert.run(ordinal, actorIdBytes(actor))
    this.#note(ordinal, actor)
    return ordinal
  }

  #note(ordinal: number, actor: ActorId): void {
    this.#ids.set(ordinal, actor)
    this.#ordinals.set(actor, ordinal)
  }
}
