import { type App, appStatus, type MachineRow } from '#flaps'
import { freeJson } from '../graphql/scalars.ts'
import { nodes, type Subject } from '../graphql/subject.ts'
import type { OrganizationView, WebCall } from '../web-call.ts'
import { releasesOf } from './releases.ts'

const PAGE_MAX = 200
/** What clients of the original take for no network of its own. */
const DEFAULT_NETWORK = 'default'

export const apps: Subject = {
  sdl: `
    extend type Query {
      app(name: String, internalId: String): App
      apps(type: String, first: Int, after: String, organizationId: ID, role: String): AppConnection!
      appNameAvailable(name: String!): Boolean!
      canPerformBluegreenDeployment(name: String!): Boolean!
    }
    extend type Mutation {
      createApp(input: CreateAppInput!): CreateAppPayload!
      deleteApp(appId: ID!): DeleteAppPayload!
    }
    input CreateAppInput {
      clientMutationId: String organizationId: ID! name: String runtime: String preferredRegion: String
      machines: Boolean network: String appRoleId: ID enableSubdomains: Boolean
    }
    type CreateAppPayload { app: App! }
    type DeleteAppPayload { organization: Organization! }
    type AppConnection { nodes: [App!]! pageInfo: PageInfo! }
    type PageInfo { hasNextPage: Boolean! endCursor: String }
    enum PlatformVersionEnum { detached machines nomad }
    type App {
      id: ID! internalNumericId: Int! name: String! hostname: String deployed: Boolean!
      status: String! version: Int appUrl: String platformVersion: PlatformVersionEnum
      cnameTarget: String network: String networkId: Int organization: Organization!
      role: AppRole config: AppConfig services: [Service!]! regions: [Region!]
      createdAt: ISO8601DateTime! hostIssues: IssueConnection! currentLock: AppLock
    }
    type AppLock { lockId: ID! expiration: ISO8601DateTime! }
    type AppRole { name: String! }
    type AppConfig { definition: JSON }
    type Service { description: String protocol: String internalPort: Int ports: [Port!] }
    type Port { port: Int handlers: [String!] }
    type IssueConnection { nodes: [Issue!]! }
    type Issue {
      internalId: String! message: String!
      createdAt: ISO8601DateTime! updatedAt: ISO8601DateTime!
    }
  `,
  resolvers: {
    Query: {
      app: (_none: unknown, { name }: { name?: string | null }, call: WebCall) =>
        call.app(name ?? ''),
      apps: pageOfApps,
      async appNameAvailable(_none: unknown, { name }: { name: string }, call: WebCall) {
        return (await call.services.directory.app(name, call.signal)) === undefined
      },
      /** A volume is of one machine at a time: the green one could not have it beside the blue. */
      async canPerformBluegreenDeployment(
        _none: unknown,
        { name }: { name: string },
        call: WebCall,
      ) {
        const app = await call.app(name)
        return machinesOf(app, call).every(
          ({ json: { config, incomplete_config: incomplete } }) =>
            ((config ?? incomplete)?.mounts ?? []).length === 0,
        )
      },
    },
    Mutation: {
      async createApp(_none: unknown, { input }: { input: CreateAppInput }, call: WebCall) {
        const { organization } = await call.organization(input.organizationId)
        const body = {
          ...{ name: input.name ?? '', org_slug: organization.slug, network: input.network ?? '' },
          ...{ app_role_id: input.appRoleId ?? '' },
        }
        const { name } = await call.perform('Apps_create', { body })
        return { app: await call.changedApp(name) }
      },
      async deleteApp(_none: unknown, { appId }: { appId: string }, call: WebCall) {
        const { organization } = await call.changedApp(appId)
        await call.perform('Apps_delete', { params: { app: appId }, query: { force: 'true' } })
        return { organization: viewOf({ organization }) }
      },
    },
    App: {
      id: ({ name }: App) => name, // clients put it where a name is asked
      internalNumericId: ({ numericId }: App) => numericId,
      createdAt: ({ createdAtMs }: App) => createdAtMs,
      hostname: ({ name }: App, _args: unknown, call: WebCall) => hostnameOf(name, call),
      appUrl: ({ name }: App, _args: unknown, call: WebCall) => {
        const hostname = hostnameOf(name, call)
        return hostname === null ? null : `https://${hostname}`
      },
      deployed: (app: App, _args: unknown, call: WebCall) => machinesOf(app, call).length > 0,
      status: (app: App, _args: unknown, call: WebCall) =>
        appStatus(machinesOf(app, call).map(({ json }) => json.state)),
      version: async (app: App, _args: unknown, call: WebCall) =>
        (await releasesOf(app, 1, call))[0]?.version ?? 0,
      platformVersion: () => 'machines',
      network: ({ network }: App) => (network === DEFAULT_NETWORK ? '' : network),
      organization: viewOf,
      role: ({ role }: App) => (role === '' ? null : { name: role }),
      config: async (app: App, _args: unknown, call: WebCall) => {
        const [latest] = await releasesOf(app, 1, call)
        return { definition: freeJson(latest?.definition ?? {}, call) }
      },
      services: (app: App, _args: unknown, call: WebCall) =>
        machinesOf(app, call).slice(0, 1).flatMap(servicesOf),
      regions: (app: App, _args: unknown, call: WebCall) => {
        const used = new Set(machinesOf(app, call).map(({ json }) => json.region))
        return call.services.rows.regions().filter(({ code }) => used.has(code))
      },
      hostIssues: () => nodes([]),
    },
  },
}

interface CreateAppInput {
  readonly organizationId: string
  readonly name?: string | null
  readonly network?: string | null
  readonly appRoleId?: string | null
}

function viewOf({ organization }: Pick<App, 'organization'>): OrganizationView {
  return { organization, slug: organization.slug }
}

/** Machines of an app that were not destroyed, oldest first. */
export const machinesOf = ({ id }: App, call: WebCall): readonly MachineRow[] =>
  call.once(`machines ${id}`, () => call.services.rows.machines({ appId: id }))

const hostnameOf = (name: string, { options: { appDomain } }: WebCall) =>
  appDomain === undefined || appDomain === '' ? null : `${name}.${appDomain}`

interface AppsArgs {
  readonly first?: number | null
  readonly after?: string | null
  readonly organizationId?: string | null
  readonly role?: string | null
}

/** In the order of names, which are the cursors. */
async function pageOfApps(_none: unknown, args: AppsArgs, call: WebCall) {
  const { organizationId: id, after } = args
  const views = id ? [await call.organization(id)] : await call.organizations()
  const own = views.filter(({ organization, slug }) => id || slug === organization.slug)
  const lists = await Promise.all(
    own.map(({ organization }) => call.appsOf(organization, args.role ?? undefined)),
  )
  const all = lists.flat().sort((a, b) => (a.name < b.name ? -1 : 1))
  const rest = after ? all.filter(({ name }) => name > after) : all
  const page = rest.slice(0, Math.min(Math.max(args.first ?? PAGE_MAX, 1), PAGE_MAX))
  return {
    ...nodes(page),
    pageInfo: { hasNextPage: page.length < rest.length, endCursor: page.at(-1)?.name ?? null },
  }
}

interface ServiceConfig {
  readonly protocol?: unknown
  readonly internal_port?: unknown
  readonly ports?: readonly { readonly port?: unknown; readonly handlers?: unknown }[]
}

/** As the machine's configuration has them; what is not of the expected kind is left out. */
function servicesOf({ json: { config, incomplete_config: incomplete } }: MachineRow) {
  const given = (config ?? incomplete)?.['services']
  const services = Array.isArray(given) ? (given as readonly ServiceConfig[]) : []
  return services.map(({ protocol, internal_port: internalPort, ports }) => ({
    protocol: typeof protocol === 'string' ? protocol : null,
    internalPort: Number.isInteger(internalPort) ? internalPort : null,
    ports: (Array.isArray(ports) ? ports : []).map(({ port, handlers }) => ({
      port: Number.isInteger(port) ? port : null,
      handlers: Array.isArray(handlers) ? handlers.map(String) : [],
    })),
  }))
}
