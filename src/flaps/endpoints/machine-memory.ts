import { Type } from 'typebox'
import type { MachineMemory } from '#flyd'
import { Action } from '#macaroon'
import { ok } from '../answer.ts'
import { endpoint } from '../endpoint.ts'
import { refuse } from '../errors.ts'

const tag = 'Machines'
const path = '/v1/apps/:app/machines/:machine/memory'

const memoryAnswer = Type.Object({
  limit_mb: Type.Integer({ description: 'what it may use now' }),
  available_mb: Type.Integer({ description: 'what of that nothing needs now' }),
})

export const machineMemoryEndpoints = [
  endpoint({
    id: 'Machines_show_memory',
    method: 'GET',
    path,
    tag,
    summary: 'What of its memory a machine that runs may use, and does.',
    answers: { 200: memoryAnswer },
    access: { on: 'machine', action: Action.read },
    limit: 'action',
    handle: async ({ machine, services, signal }) =>
      ok(memoryJson(await services.fleet.host(machine.hostId).memory(machine.id, signal))),
  }),

  endpoint({
    id: 'Machines_set_memory',
    method: 'PUT',
    path,
    tag,
    summary: 'Lets it have less of its memory while it runs, or all of it again.',
    body: Type.Object({ limit_mb: Type.Integer() }),
    answers: { 200: memoryAnswer },
    access: { on: 'machine', action: Action.control },
    limit: 'action',
    example: { body: { limit_mb: 128 } },
    async handle({ machine, services, signal, body }) {
      const limitMb = positive('limit_mb', body.limit_mb)
      const host = services.fleet.host(machine.hostId)
      return ok(memoryJson(await host.limitMemory(machine.id, limitMb, signal)))
    },
  }),

  endpoint({
    id: 'Machines_reclaim_memory',
    method: 'POST',
    path: `${path}/reclaim`,
    tag,
    summary: 'Takes for the host what it does not need; it may use it again when it does.',
    body: Type.Object({ amount_mb: Type.Integer() }),
    answers: { 200: Type.Object({ actual_mb: Type.Integer() }) },
    access: { on: 'machine', action: Action.control },
    limit: 'action',
    example: { body: { amount_mb: 16 } },
    async handle({ machine, services, signal, body }) {
      const amountMb = positive('amount_mb', body.amount_mb)
      const host = services.fleet.host(machine.hostId)
      return ok({ actual_mb: await host.reclaimMemory(machine.id, amountMb, signal) })
    },
  }),
]

const memoryJson = ({ limitMb, availableMb }: MachineMemory) => {
  return { limit_mb: limitMb, available_mb: availableMb }
}

/** @throws FlapsError flaps.argument_bad */
function positive(name: string, value: number): number {
  if (value >= 1) return value
  throw refuse('flaps.argument_bad', `invalid_argument: ${name} must be at least 1`)
}
