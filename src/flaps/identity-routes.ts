import type { FastifyInstance } from 'fastify'
import { discoveryOf, type IdentityProvider } from './identity-provider.ts'

const CACHE = 'public, max-age=300'

/** What whoever checks a machine's token reads; anybody may. */
export function addIdentityRoutes(fastify: FastifyInstance, identity: IdentityProvider): void {
  const at = `${identity.basePath}/:org/.well-known`
  fastify.get(`${at}/openid-configuration`, async (request, reply) => {
    const { org } = request.params as { org: string }
    const issuer = identity.issuerOf(org)
    if (issuer === undefined) return reply.callNotFound()
    return reply.header('cache-control', CACHE).send(discoveryOf(issuer))
  })
  fastify.get(`${at}/jwks`, async (_request, reply) =>
    reply.header('cache-control', CACHE).send(identity.keys()),
  )
}
