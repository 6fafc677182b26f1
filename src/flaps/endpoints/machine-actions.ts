import { Type } from 'typebox'
import { Action } from '#macaroon'
import { done, ok } from '../answer.ts'
import { endpoint } from '../endpoint.ts'
import { refuse } from '../errors.ts'
import { durationMs } from '../go-duration.ts'
import { noteWrite } from '../machine-write.ts'
import { signalName } from '../signal-name.ts'
import { okAnswer, optionalFlag, optionalText } from './schemas.ts'

const tag = 'Machines'
const base = '/v1/apps/:app/machines/:machine'
const textOrNumber = () => Type.Union([Type.String(), Type.Number()])
const access = { on: 'machine', action: Action.control } as const

export const machineActionEndpoints = [
  endpoint({
    id: 'Machines_start',
    method: 'POST',
    path: `${base}/start`,
    tag,
    summary: 'Begins to start it; wait for `started`.',
    answers: {
      200: Type.Object({
        previous_state: Type.String(),
        migrated: Type.Boolean(),
        new_host: Type.String(),
      }),
    },
    access,
    limit: 'action',
    async handle(call) {
      const { machine, services, signal, leaseNonce: nonce } = call
      const host = services.fleet.host(machine.hostId)
      const { previousState } = await host.start(machine.id, { nonce }, signal)
      noteWrite(call)
      return ok({ previous_state: previousState, migrated: false, new_host: '' })
    },
  }),

  endpoint({
    id: 'Machines_stop',
    method: 'POST',
    path: `${base}/stop`,
    tag,
    summary: 'Sends it a signal, and kills it when it has not ended in time.',
    body: Type.Object({
      signal: Type.Optional(textOrNumber()),
      timeout: Type.Optional(textOrNumber()),
    }),
    answers: { 200: okAnswer },
    access,
    limit: 'action',
    example: { body: { signal: 'SIGTERM', timeout: '10s' } },
    async handle(call) {
      const { body, machine, services, signal, leaseNonce: nonce } = call
      const options = {
        signal: signalName(body.signal, 'stop'),
        timeoutMs: durationMs(body.timeout, 'timeout'),
        nonce,
      }
      await services.fleet.host(machine.hostId).stop(machine.id, options, signal)
      noteWrite(call)
      return done
    },
  }),

  endpoint({
    id: 'Machines_suspend',
    method: 'POST',
    path: `${base}/suspend`,
    tag,
    summary: 'Writes its memory to disk and ends it; start resumes.',
    answers: { 200: okAnswer },
    access,
    limit: 'action',
    async handle(call) {
      const { machine, services, signal, leaseNonce: nonce } = call
      await services.fleet.host(machine.hostId).suspend(machine.id, { nonce }, signal)
      noteWrite(call)
      return done
    },
  }),

  endpoint({
    id: 'Machines_restart',
    method: 'POST',
    path: `${base}/restart`,
    tag,
    summary: 'Stops and starts the same version.',
    query: Type.Object({
      timeout: optionalText(),
      signal: optionalText(),
      force_stop: optionalFlag(),
    }),
    answers: { 200: okAnswer },
    access,
    limit: 'action',
    async handle(call) {
      const { query, machine, services, signal, leaseNonce: nonce } = call
      const options = {
        signal: signalName(query.signal, 'stop'),
        timeoutMs: durationMs(query.timeout, 'timeout'),
        force: query.force_stop ?? false,
        nonce,
      }
      await services.fleet.host(machine.hostId).restart(machine.id, options, signal)
      noteWrite(call)
      return done
    },
  }),

  endpoint({
    id: 'Machines_signal',
    method: 'POST',
    path: `${base}/signal`,
    tag,
    summary: 'Sends its main process a signal, by name or number.',
    body: Type.Object({ signal: textOrNumber() }),
    answers: { 200: okAnswer },
    access,
    limit: 'action',
    example: { body: { signal: 'SIGUSR1' } },
    async handle({ body, machine, services, signal }) {
      const name = signalName(body.signal, 'any')
      if (name === undefined) {
        throw refuse('flaps.argument_bad', 'invalid_argument: signal is required')
      }
      await services.fleet.host(machine.hostId).signal(machine.id, name, signal)
      return done
    },
  }),

  ...(['cordon', 'uncordon'] as const).map((verb) =>
    endpoint({
      id: `Machines_${verb}`,
      method: 'POST',
      path: `${base}/${verb}`,
      tag,
      summary:
        verb === 'cordon'
          ? 'The proxy sends it nothing new.'
          : 'The proxy sends it requests again.',
      answers: { 200: okAnswer },
      access,
      limit: 'action',
      async handle(call) {
        const { machine, services, signal, leaseNonce: nonce } = call
        const options = { isCordoned: verb === 'cordon', nonce }
        await services.fleet.host(machine.hostId).setCordoned(machine.id, options, signal)
        noteWrite(call)
        return done
      },
    }),
  ),
]
