import type { FastifyInstance } from 'fastify'
import type { Clock } from '#base'
import { renewalBody, type SignedRenewal } from '#trust'
import { readBody } from '../json-body.ts'
import { requestSignal } from '../request-signal.ts'
import { type JoinBody, joinBody } from './join-authority.ts'
import type { OpenJoin } from './open-join.ts'

const BODY_BYTES_MAX = 64 * 1024

/**
 * How a bare server becomes a host. No token of an organisation lets anybody do this, which is why these calls are no
 * endpoints like the others:
 *
 *   GET  /v1/cluster/ca      PEM; who asks compares it with what its token says, and sends nothing secret before
 *   POST /v1/cluster/join    JoinBody; answers JoinAnswer
 *
 * And how one that is a host stays one:
 *
 *   POST /v1/cluster/renew   SignedRenewal; answers RenewalAnswer
 */
export function addJoinRoutes(
  fastify: FastifyInstance,
  { authority, renewal, clock }: OpenJoin & { clock: Clock },
): void {
  fastify.get('/v1/cluster/ca', (_request, reply) =>
    reply.type('application/x-pem-file').send(authority.caPem),
  )
  fastify.post('/v1/cluster/join', { bodyLimit: BODY_BYTES_MAX }, async (request, reply) => {
    using held = requestSignal(reply.raw, { clock, draining: undefined })
    const body = readBody(joinBody, request.body, { call: 'Cluster_join', nullIs: 'absent' })
    const source = (request.socket.remoteAddress ?? '').replace(/^::ffff:(?=\d+\.)/i, '')
    const about = { source, requestId: request.id, signal: held.signal }
    return await authority.join(body as JoinBody, about)
  })
  fastify.post('/v1/cluster/renew', { bodyLimit: BODY_BYTES_MAX }, async (request) => {
    const body = readBody(renewalBody, request.body, { call: 'Cluster_renew', nullIs: 'absent' })
    return await renewal.renew(body as SignedRenewal)
  })
}
