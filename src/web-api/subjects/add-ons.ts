import { refuse } from '#flaps'
import { nodes, type Subject } from '../graphql/subject.ts'

/** What others sell beside the original platform. This one has none: lists are empty, and nothing is found. */
export const addOns: Subject = {
  sdl: `
    extend type Query {
      addOn(id: ID, name: String, provider: String): AddOn
      addOns(type: AddOnType): AddOnConnection!
      addOnProvider(name: String!): AddOnProvider
      postgresAttachments(appName: String!, postgresAppName: String!): PostgresAttachmentConnection!
    }
    extend type App { addOns(type: AddOnType): AddOnConnection! }
    extend type Organization { addOns(type: AddOnType): AddOnConnection! }
    enum AddOnType {
      arcjet enveloop fly_mysql kubernetes redis sentry supabase tigris upstash_kafka upstash_redis
      upstash_vector wafris
    }
    type AddOnConnection { nodes: [AddOn!]! }
    type AddOn {
      id: ID! name: String! status: String primaryRegion: String readRegions: [String!]
      privateIp: String options: JSON metadata: JSON addOnPlan: AddOnPlan
      addOnProvider: AddOnProvider organization: Organization!
    }
    type AddOnPlan { id: ID! name: String displayName: String description: String }
    type AddOnProvider { id: ID! name: String! displayName: String }
    type PostgresAttachmentConnection { nodes: [PostgresAttachment!]! }
    type PostgresAttachment { id: ID! databaseName: String! databaseUser: String! environmentVariableName: String! }
  `,
  resolvers: {
    Query: {
      addOn: notFound,
      addOns: none,
      addOnProvider: notFound,
      postgresAttachments: none,
    },
    App: { addOns: none },
    Organization: { addOns: none },
  },
}

function none() {
  return nodes([])
}

function notFound(): never {
  throw refuse('flaps.not_found', 'this platform has no add-ons')
}
