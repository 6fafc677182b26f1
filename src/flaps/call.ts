import assert from 'node:assert/strict'
import type { Log } from '#base'
import type { Access, VerifiedToken } from '#macaroon'
import { type Caller, ownerOf } from './caller.ts'
import type { App, Author, Organization } from './directory.ts'
import type { RawQuery } from './query-string.ts'
import type { Services } from './services.ts'
import type { Whereabouts } from './whereabouts.ts'

/** What the gate found out: who calls, and what about. */
export interface Admitted {
  readonly caller?: Caller
  readonly token?: VerifiedToken
  readonly organization?: Organization
  readonly app?: App
  readonly machine?: Whereabouts
  readonly volume?: Whereabouts
}

export interface CallInit<Query, Body> {
  readonly services: Services
  readonly admitted: Admitted
  readonly params: Readonly<Record<string, string>>
  readonly query: Query
  readonly rawQuery: RawQuery
  readonly body: Body
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly requestId: string
  /** Aborts when the client goes away. */
  readonly signal: AbortSignal
  readonly log: Log
}

/** One admitted request. What a rule resolves is there; asking for more is our mistake. */
export class Call<Query = unknown, Body = unknown> {
  readonly #init: CallInit<Query, Body>

  constructor(init: CallInit<Query, Body>) {
    this.#init = init
  }

  get services(): Services {
    return this.#init.services
  }

  get query(): Query {
    return this.#init.query
  }

  get rawQuery(): RawQuery {
    return this.#init.rawQuery
  }

  get body(): Body {
    return this.#init.body
  }

  get signal(): AbortSignal {
    return this.#init.signal
  }

  get requestId(): string {
    return this.#init.requestId
  }

  get log(): Log {
    return this.#init.log
  }

  param(name: string): string {
    const value = this.#init.params[name]
    assert(value !== undefined, `the path has no :${name}`)
    return value
  }

  header(name: string): string | undefined {
    const value = this.#init.headers[name]
    return typeof value === 'string' ? value : value?.[0]
  }

  get leaseNonce(): string | undefined {
    return this.header('fly-machine-lease-nonce') || undefined
  }

  get caller(): Caller {
    return this.#admitted('caller')
  }

  get token(): VerifiedToken {
    return this.#admitted('token')
  }

  get owner(): string {
    return ownerOf(this.token)
  }

  get by(): Author {
    return { who: this.owner, requestId: this.requestId, signal: this.signal }
  }

  get organization(): Organization {
    return this.#init.admitted.organization ?? this.app.organization
  }

  get app(): App {
    return this.#admitted('app')
  }

  get machine(): Whereabouts {
    return this.#admitted('machine')
  }

  get volume(): Whereabouts {
    return this.#admitted('volume')
  }

  /** Whether the caller may also do something else than what the rule asked. */
  allows(access: Access): boolean {
    return this.caller.allows(access, this.services.clock.nowMs())
  }

  #admitted<Name extends keyof Admitted>(name: Name): NonNullable<Admitted[Name]> {
    const value = this.#init.admitted[name]
    assert(value !== undefined, `the access rule of this call resolves no ${name}`)
    return value
  }
}
