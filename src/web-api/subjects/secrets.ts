import type { App } from '#flaps'
import { Action } from '#macaroon'
import type { Subject } from '../graphql/subject.ts'
import type { WebCall } from '../web-call.ts'

const READ = { on: 'app', action: Action.read, feature: 'secrets' } as const

export const secrets: Subject = {
  sdl: `
    extend type App { secrets: [Secret!]! }
    extend type Mutation {
      setSecrets(input: SetSecretsInput!): SetSecretsPayload!
      unsetSecrets(input: UnsetSecretsInput!): UnsetSecretsPayload!
    }
    type Secret { id: ID! name: String! digest: String createdAt: ISO8601DateTime }
    input SecretInput { key: String! value: String! }
    input SetSecretsInput {
      clientMutationId: String appId: ID! secrets: [SecretInput!]! replaceAll: Boolean
    }
    input UnsetSecretsInput { clientMutationId: String appId: ID! keys: [String!]! }
    type SetSecretsPayload { app: App! release: ReleaseUnprocessed }
    type UnsetSecretsPayload { app: App! release: ReleaseUnprocessed }
  `,
  resolvers: {
    App: {
      async secrets(app: App, _args: unknown, call: WebCall) {
        call.require(READ, { organization: app.organization, app })
        const { secrets: own } = call.services.directory
        const found = await own.list(app, { minVersion: 0, signal: call.signal })
        return found.map(({ name, digest, createdAtMs }) => ({
          ...{ id: name, name, digest, createdAt: createdAtMs },
        }))
      },
    },
    Mutation: {
      async setSecrets(_none: unknown, { input }: { input: SetSecretsInput }, call: WebCall) {
        const given = input.secrets.map(({ key, value }) => [key, value] as const)
        const names = new Set(given.map(([name]) => name))
        const others = input.replaceAll === true ? await namesOf(input.appId, call) : []
        const gone = others.filter((name) => !names.has(name)).map((name) => [name, null] as const)
        return await change(input.appId, Object.fromEntries([...gone, ...given]), call)
      },
      unsetSecrets: (_none: unknown, { input }: { input: UnsetSecretsInput }, call: WebCall) =>
        change(input.appId, Object.fromEntries(input.keys.map((key) => [key, null])), call),
    },
  },
}

interface SetSecretsInput {
  readonly appId: string
  readonly secrets: readonly { readonly key: string; readonly value: string }[]
  readonly replaceAll?: boolean | null
}

interface UnsetSecretsInput {
  readonly appId: string
  readonly keys: readonly string[]
}

async function namesOf(appId: string, call: WebCall): Promise<readonly string[]> {
  const app = await call.app(appId, READ)
  const { secrets: own } = call.services.directory
  return (await own.list(app, { minVersion: 0, signal: call.signal })).map(({ name }) => name)
}

async function change(
  appId: string,
  values: Readonly<Record<string, string | null>>,
  call: WebCall,
) {
  await call.perform('Secrets_update', { params: { app: appId }, body: { values } })
  return { app: await call.changedApp(appId), release: null }
}
