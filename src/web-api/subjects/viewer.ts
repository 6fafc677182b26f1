import { ownerOf } from '#flaps'
import type { Subject } from '../graphql/subject.ts'
import type { WebCall } from '../web-call.ts'

/** Who asks: a person who has logged in, else the token, for others are an organisation's. */
export const viewer: Subject = {
  sdl: `
    extend type Query { viewer: Principal! }
    extend type Mutation { logOut(input: LogOutInput!): LogOutPayload! }
    interface Principal { email: String! }
    type User implements Principal {
      id: ID! email: String! name: String enablePaidHobby: Boolean!
      agreedToProviderTos(providerName: String!): Boolean!
    }
    type Macaroon implements Principal { email: String! }
    input LogOutInput { clientMutationId: String }
    type LogOutPayload { ok: Boolean! clientMutationId: String }
  `,
  resolvers: {
    Query: {
      viewer(_none: unknown, _args: unknown, call: WebCall) {
        const email = call.user
        if (email !== undefined) return { __typename: 'User', ...userJson(email) }
        return { __typename: 'Macaroon', email: ownerOf(call.token) }
      },
    },
    Mutation: {
      /** The client forgets its token; others may go on with theirs. */
      logOut: () => ({ ok: true }),
    },
  },
}

/** A person or program as entries name it. */
export const userJson = (who: string) => ({
  ...{ id: who, email: who, name: who, enablePaidHobby: false, agreedToProviderTos: false },
})
