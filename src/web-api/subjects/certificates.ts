import type { App } from '#flaps'
import { nodes, type Subject } from '../graphql/subject.ts'
import type { WebCall } from '../web-call.ts'

interface CertificateJson {
  readonly hostname: string
  readonly status: string
  readonly configured: boolean
  readonly created_at: string
}

export const certificates: Subject = {
  sdl: `
    extend type App { certificates: CertificateConnection! certificate(hostname: String!): Certificate }
    extend type Mutation {
      addCertificate(appId: ID!, hostname: String!): AddCertificatePayload!
      deleteCertificate(appId: ID!, hostname: String!): DeleteCertificatePayload!
    }
    type CertificateConnection { nodes: [Certificate!]! }
    type Certificate {
      id: ID! hostname: String! clientStatus: String! configured: Boolean!
      createdAt: ISO8601DateTime!
    }
    type AddCertificatePayload { certificate: Certificate! app: App! }
    type DeleteCertificatePayload { certificate: Certificate app: App! }
  `,
  resolvers: {
    App: {
      certificates: async ({ name }: App, _args: unknown, call: WebCall) =>
        nodes(await certificatesOf(name, call)),
      certificate: async ({ name }: App, { hostname }: { hostname: string }, call: WebCall) =>
        (await certificatesOf(name, call)).find((one) => one.hostname === hostname) ?? null,
    },
    Certificate: {
      id: ({ hostname }: CertificateJson) => hostname,
      clientStatus: ({ status }: CertificateJson) => status,
      createdAt: (certificate: CertificateJson) => certificate.created_at,
    },
    Mutation: {
      async addCertificate(_none: unknown, { appId, hostname }: Named, call: WebCall) {
        const params = { app: appId }
        const certificate = await call.perform('App_Certificates_acme_create', {
          ...{ params, body: { hostname } },
        })
        return { certificate, app: await call.changedApp(appId) }
      },
      async deleteCertificate(_none: unknown, { appId, hostname }: Named, call: WebCall) {
        await call.perform('App_Certificates_delete', { params: { app: appId, hostname } })
        return { certificate: null, app: await call.changedApp(appId) }
      },
    },
  },
}

interface Named {
  readonly appId: string
  readonly hostname: string
}

const LIMIT = '100'

async function certificatesOf(app: string, call: WebCall): Promise<readonly CertificateJson[]> {
  const query = { limit: LIMIT }
  const { certificates: found } = await call.once(`certificates ${app}`, () =>
    call.perform('App_Certificates_list', { params: { app }, query }),
  )
  return found
}
