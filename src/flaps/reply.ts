import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Log } from '#base'
import { type Answer, answerOfError, internalError } from './answer.ts'
import type { Named } from './next-step.ts'

/** A text is sent as it is, all else as JSON. */
export function send(reply: FastifyReply, { status, body, headers = {} }: Answer): FastifyReply {
  reply.code(status).headers(headers)
  if (body === undefined) return reply.send()
  const isText = typeof body === 'string'
  const type = isText ? 'text/plain; charset=utf-8' : 'application/json; charset=utf-8'
  return reply.type(headers['content-type'] ?? type).send(isText ? body : JSON.stringify(body))
}

/** What nobody threw on purpose is our mistake: logged whole, told as nothing. */
export function sendError(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  log: Log,
): FastifyReply {
  reply.header('fly-request-id', request.id)
  const answer = answerOfError(error, request.params as Named)
  if (answer !== undefined && answer.status < 500) return send(reply, answer)
  log.error({ err: error, requestId: request.id, path: request.routeOptions.url }, 'call failed')
  return send(reply, answer ?? internalError)
}
