import { Type } from 'typebox'
import { isUlid } from '#base'
import { Action } from '#macaroon'
import { ok } from '../answer.ts'
import { endpoint } from '../endpoint.ts'
import { refuse } from '../errors.ts'
import { noteWrite } from '../machine-write.ts'
import { optionalText, optionalWhole } from './schemas.ts'

const states = ['started', 'stopped', 'suspended', 'destroyed', 'failed', 'settled'] as const

const TIMEOUT_S_DEFAULT = 60
const TIMEOUT_S_MAX = 60
/** Proxies on the way cut what is silent for 60 s: the answer comes before that. */
const HELD_MS_MAX = 57_000

export const machineWaitEndpoints = [
  endpoint({
    id: 'Machines_wait',
    method: 'GET',
    path: '/v1/apps/:app/machines/:machine/wait',
    tag: 'Machines',
    summary: 'Answers when the machine is in one of the states, or with 408 when time is up.',
    query: Type.Object({
      state: Type.Optional(
        Type.Array(Type.String(), { description: `${states.join(', ')}; started when absent` }),
      ),
      timeout: optionalWhole(),
      version: optionalText(),
      instance_id: optionalText(),
      from_event_id: optionalText(),
    }),
    answers: {
      200: Type.Object({
        ok: Type.Boolean(),
        state: Type.String(),
        version: Type.String(),
        event_id: Type.String(),
      }),
    },
    access: { on: 'machine', action: Action.read },
    limit: 'action',
    example: { query: { state: 'started', timeout: '30' } },
    async handle(call) {
      const { query, machine, services, signal } = call
      const timeoutS = checkTimeout(query.timeout ?? TIMEOUT_S_DEFAULT)
      const reached = await services.fleet.host(machine.hostId).wait(
        machine.id,
        {
          states: checkStates(query.state ?? ['started']),
          version: checkUlid('version', query.version ?? query.instance_id),
          fromEventId: checkUlid('from_event_id', query.from_event_id),
          timeoutMs: Math.min(timeoutS * 1000, HELD_MS_MAX),
        },
        signal,
      )
      noteWrite(call) // what the client has seen here, its next read must not undo
      const { state, version, eventId } = reached
      return ok({ ok: true, state, version, event_id: eventId })
    },
  }),
]

function checkTimeout(seconds: number): number {
  if (seconds >= 1 && seconds <= TIMEOUT_S_MAX) return seconds
  throw refuse(
    'flaps.argument_bad',
    'invalid_argument: invalid WaitMachineRequest.Timeout: value must be inside range [1s, 1m0s]',
  )
}

function checkStates(wanted: readonly string[]): readonly string[] {
  const unknown = wanted.find((state) => !states.some((known) => known === state))
  if (unknown === undefined) return wanted
  throw refuse(
    'flaps.argument_bad',
    `invalid_argument: invalid state '${unknown}': use ${states.join(', ')}`,
  )
}

function checkUlid(name: string, id: string | undefined): string | undefined {
  if (id === undefined || isUlid(id)) return id
  throw refuse('flaps.argument_bad', `invalid_argument: invalid ${name}: '${id.slice(0, 40)}'`)
}
