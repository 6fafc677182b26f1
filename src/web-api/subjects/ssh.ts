import { refuse } from '#flaps'
import { Ed25519Key } from '#ssh'
import { nodes, type Subject } from '../graphql/subject.ts'
import type { WebCall } from '../web-call.ts'

export const ssh: Subject = {
  sdl: `
    extend type Organization { loggedCertificates: LoggedCertificateConnection! }
    extend type Mutation { issueCertificate(input: IssueCertificateInput!): IssueCertificatePayload! }
    type LoggedCertificateConnection { nodes: [LoggedCertificate!]! }
    type LoggedCertificate { root: Boolean! cert: String! }
    input IssueCertificateInput {
      clientMutationId: String organizationId: ID! principals: [String!] appNames: [String!]
      publicKey: String validHours: Int
    }
    type IssueCertificatePayload {
      "A line as of a file NAME-cert.pub." certificate: String!
      "The private key, where no public one was given." key: String clientMutationId: String
    }
  `,
  resolvers: {
    Organization: { loggedCertificates: () => nodes([]) },
    Mutation: {
      /** For the machines of one app, or of all. */
      async issueCertificate(_none: unknown, { input }: { input: IssueInput }, call: WebCall) {
        const { organization } = await call.organization(input.organizationId)
        const [app, ...others] = input.appNames ?? []
        if (others.length > 0) {
          const what = 'a certificate is for one app, or for all: name one, or none'
          throw refuse('flaps.argument_bad', `invalid_argument: ${what}`)
        }
        if (app !== undefined) {
          const { organization: owner } = await call.changedApp(app)
          if (owner.id !== organization.id) {
            const what = `invalid_argument: app ${app} is of another organisation`
            throw refuse('flaps.argument_bad', what)
          }
        }
        const made = input.publicKey ? undefined : Ed25519Key.generate()
        const body = {
          public_key: input.publicKey || made?.publicLine(),
          ...(input.principals ? { principals: input.principals } : {}),
          ...(input.validHours ? { valid_hours: input.validHours } : {}),
        }
        const { certificate } =
          app === undefined
            ? await call.perform('Orgs_issue_ssh_certificate', {
                ...{ params: { org: organization.slug }, body },
              })
            : await call.perform('Apps_issue_ssh_certificate', { params: { app }, body })
        return { certificate, key: made?.privatePem() ?? null }
      },
    },
  },
}

interface IssueInput {
  readonly organizationId: string
  readonly principals?: readonly string[] | null
  readonly appNames?: readonly string[] | null
  readonly publicKey?: string | null
  readonly validHours?: number | null
}
