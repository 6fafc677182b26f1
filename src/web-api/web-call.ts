import {
  type AccessRule,
  type App,
  type Author,
  accessOf,
  allEndpoints,
  type Caller,
  type CallSurroundings,
  type FlapsError,
  findOrganization,
  type Organization,
  organizationOf,
  ownerOf,
  PERSONAL_SLUG,
  type Progress,
  performCall,
  refuse,
  type Services,
} from '#flaps'
import { Action, type ActionMask, tokenUuid, type VerifiedToken } from '#macaroon'
import type { WebApiOptions } from './web-api-options.ts'

/** To mint a token is to do all that it may; so it is to take one back. */
export const EVERYTHING: ActionMask =
  Action.read | Action.write | Action.create | Action.delete | Action.control

export const READ_APP = { on: 'app', action: Action.read } as const satisfies AccessRule
export const READ_ORG = {
  ...{ on: 'org', action: Action.read, slugFrom: 'path' },
} as const satisfies AccessRule

/** An organisation by the slug that it was asked for: its own, or `personal`. */
export interface OrganizationView {
  readonly organization: Organization
  readonly slug: string
}

export interface Target {
  readonly organization: Organization
  readonly app?: App
  readonly machine?: string
  readonly volume?: string
}

/** What one request may resolve: fields, pieces of free JSON, and lookups. */
const UNITS_MAX = 20_000
/** A query of a database takes as long as some fields, and nothing else runs meanwhile. */
const LOOKUP_UNITS = 10

export interface WebCallInit {
  readonly around: CallSurroundings
  readonly options: WebApiOptions
  readonly caller: Caller
  readonly requestId: string
  readonly signal: AbortSignal
  /** Ends the whole request. */
  readonly giveUp?: (reason: Error) => void
}

/**
 * One request of the web API. Whatever it shows or changes goes through `require`, or through `perform`, which asks
 * the same. What was looked up once is remembered until the answer.
 */
export class WebCall {
  readonly #init: WebCallInit
  readonly #readable = new Set<string>()
  readonly #memo = new Map<string, unknown>()
  /** For the audit log: whom and what it was about. */
  readonly progress: Progress
  #units = 0
  #tooMuch: FlapsError | undefined

  constructor(init: WebCallInit) {
    this.#init = init
    this.progress = { caller: init.caller }
    const [token] = init.caller.tokens
    if (token !== undefined) this.progress.owner = ownerOf(token)
  }

  get services(): Services {
    return this.#init.around.services
  }

  get options(): WebApiOptions {
    return this.#init.options
  }

  get caller(): Caller {
    return this.#init.caller
  }

  get signal(): AbortSignal {
    return this.#init.signal
  }

  get nowMs(): number {
    return this.services.clock.nowMs()
  }

  /** @throws FlapsError flaps.unauthenticated, flaps.forbidden */
  get token(): VerifiedToken {
    return this.caller.requireLive(this.nowMs)
  }

  /** E-mail address of the person who got the token by logging in. */
  get user(): string | undefined {
    return this.options.accounts.userOfToken(tokenUuid(this.token.macaroon.nonce))
  }

  byOf(token: VerifiedToken): Author {
    return { who: ownerOf(token), requestId: this.#init.requestId, signal: this.signal }
  }

  /** @throws FlapsError flaps.forbidden, flaps.unauthenticated */
  require(rule: AccessRule, target: Target): VerifiedToken {
    const token = this.caller.require(accessTo(rule, target), this.nowMs)
    this.progress.owner = ownerOf(token)
    this.progress.orgSlug = target.organization.slug
    if (target.app !== undefined) this.progress.appName = target.app.name
    return token
  }

  allows(rule: AccessRule, target: Target): boolean {
    return this.caller.allows(accessTo(rule, target), this.nowMs)
  }

  /** Counts against what one request may make. @throws FlapsError flaps.unprocessable */
  spend(units: number): void {
    this.#units += units
    if (this.#units <= UNITS_MAX) return
    this.#tooMuch ??= refuse('flaps.unprocessable', 'this asks for more than one answer may hold')
    this.#init.giveUp?.(this.#tooMuch) // thousands of its fields would fail one by one
    throw this.#tooMuch
  }

  /** It was answered: it has asked for too much, or took too long. */
  get isOver(): boolean {
    return this.#tooMuch !== undefined || this.signal.aborted
  }

  /** Counts a call against its rate, of each caller or target. @throws FlapsError flaps.rate_limited */
  spendRate(call: string, target: string = this.progress.owner ?? ''): void {
    this.#init.around.limits.spend('action', call, target)
  }

  /** The answer of a call of the Machines API, asked and limited as there. */
  async perform(
    id: string,
    asked: {
      readonly params?: Readonly<Record<string, string>>
      readonly query?: Readonly<Record<string, string>>
      readonly body?: unknown
    },
    // biome-ignore lint/suspicious/noExplicitAny: each call answers a shape of its own
  ): Promise<any> {
    const endpoint = allEndpoints.find((one) => one.id === id)
    if (endpoint === undefined) throw new Error(`there is no call ${id}`)
    const { around, requestId } = this.#init
    const { params = {}, query = {}, body } = asked
    const whole = { params, query, body, headers: {}, requestId, signal: this.signal }
    const { body: answer } = await performCall(endpoint, whole, this.progress, around)
    return answer
  }

  /** Remembers a change, whatever came of it. */
  record(operation: string, status: number): void {
    const { orgSlug, appName, owner } = this.progress
    this.services.directory.record({
      ...{ atMs: this.nowMs, requestId: this.#init.requestId, operation, path: '/graphql' },
      ...{ owner, orgSlug, appName, status },
    })
  }

  /** Looks up once for the whole request; what is not remembered counts like many fields. */
  once<T>(key: string, look: () => T): T {
    if (this.#memo.has(key)) return this.#memo.get(key) as T
    this.spend(LOOKUP_UNITS)
    const found = look()
    this.#memo.set(key, found)
    return found
  }

  /** By name, which is its id, too. @throws FlapsError flaps.not_found, flaps.forbidden */
  async app(name: string, rule: AccessRule = READ_APP): Promise<App> {
    const app = await this.changedApp(name)
    this.require(rule, { organization: app.organization, app })
    return app
  }

  /** One that a change was allowed of, whose fields ask for themselves. @throws FlapsError flaps.not_found */
  async changedApp(name: string): Promise<App> {
    const { directory } = this.services
    const app = await directory.app(name, this.signal)
    if (app === undefined) throw refuse('flaps.not_found', `Could not find App "${name}"`)
    return app
  }

  /** @throws FlapsError flaps.forbidden, flaps.unauthenticated */
  requireRead(app: App): void {
    if (this.#readable.has(app.id)) return
    this.require(READ_APP, { organization: app.organization, app })
    this.#readable.add(app.id)
  }

  /**
   * By slug, or by the id that organisations have here. Any token of it will do: what it shows beside its names asks
   * for more.
   *
   * @throws FlapsError flaps.not_found, flaps.forbidden
   */
  async organization(idOrSlug: string): Promise<OrganizationView> {
    const own = await this.organizations()
    const found = own.find(
      ({ organization, slug }) => slug === idOrSlug || organizationId(organization) === idOrSlug,
    )
    if (found !== undefined) return found
    const { signal, services } = this
    const other = await findOrganization(idOrSlug, this.caller, services, signal)
    if (other !== undefined) throw refuse('flaps.forbidden', 'unauthorized')
    throw refuse('flaps.not_found', `Could not find Organization "${idOrSlug}"`)
  }

  /** Those that the caller has tokens of; the first once more as `personal`, where none bears that slug. */
  organizations(): Promise<readonly OrganizationView[]> {
    return this.once('organizations', async () => {
      const ids = new Set(this.caller.live(this.nowMs).map(organizationOf))
      const found: OrganizationView[] = []
      for (const id of ids) {
        if (id === undefined) continue
        const { directory } = this.services
        const organization = await directory.organizationOfToken(id, this.signal)
        if (organization !== undefined) found.push({ organization, slug: organization.slug })
      }
      const [first] = found
      if (first === undefined || found.some(({ slug }) => slug === PERSONAL_SLUG)) return found
      return [...found, { organization: first.organization, slug: PERSONAL_SLUG }]
    })
  }

  /** Apps of an organisation that the caller may read, by name. */
  async appsOf(organization: Organization, role?: string): Promise<readonly App[]> {
    const seen = await this.once(`own apps ${organization.id}`, async () => {
      const apps = await this.#allAppsOf(organization)
      if (this.allows(READ_ORG, { organization })) return apps
      return apps.filter((app) => this.allows(READ_APP, { organization, app }))
    })
    return role === undefined ? seen : seen.filter((app) => app.role === role)
  }

  forget(): void {
    this.#memo.clear()
  }

  /** An app of the caller's organisations by its id in rows, whether the caller may see it or not. */
  async appOfRow(appId: string): Promise<App | undefined> {
    for (const { organization, slug } of await this.organizations()) {
      if (slug !== organization.slug) continue
      const found = (await this.#allAppsOf(organization)).find(({ id }) => id === appId)
      if (found !== undefined) return found
    }
    return undefined
  }

  #allAppsOf(organization: Organization): Promise<readonly App[]> {
    const { directory } = this.services
    const { signal } = this
    return this.once(`apps ${organization.id}`, () => directory.apps(organization, { signal }))
  }
}

/** As GraphQL has it; no slug has a `_`. */
export const organizationId = ({ numericId }: Organization): string => `org_${numericId}`

const accessTo = (rule: AccessRule, { organization, app, machine, volume }: Target) =>
  accessOf(rule, {
    orgId: organization.numericId,
    ...(app === undefined ? {} : { appId: app.numericId }),
    ...(machine === undefined ? {} : { machine }),
    ...(volume === undefined ? {} : { volume }),
  })
