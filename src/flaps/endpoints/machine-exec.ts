import { Type } from 'typebox'
import { shellWords } from '#base'
import { Action } from '#macaroon'
import { ok } from '../answer.ts'
import { endpoint } from '../endpoint.ts'
import { refuse } from '../errors.ts'
import { optionalFlag, optionalText, optionalWhole } from './schemas.ts'

const tag = 'Machines'
const base = '/v1/apps/:app/machines/:machine'

const TIMEOUT_S_DEFAULT = 30
const TIMEOUT_S_MAX = 60
const HELD_MS_MAX = 57_000

export const machineExecEndpoints = [
  endpoint({
    id: 'Machines_exec',
    method: 'POST',
    path: `${base}/exec`,
    tag,
    summary: 'Runs a command in it and answers with all that it printed.',
    body: Type.Object({
      command: Type.Optional(Type.Array(Type.String())),
      cmd: Type.Optional(Type.String({ description: 'one line, split as a shell would' })),
      timeout: optionalWhole(),
      stdin: optionalText(),
      container: optionalText(),
      machine: optionalFlag(),
    }),
    answers: {
      200: Type.Object({
        exit_code: Type.Integer(),
        exit_signal: Type.Integer(),
        stdout: Type.String(),
        stderr: Type.String(),
      }),
    },
    access: { on: 'machine', action: Action.control, command: commandOf },
    limit: 'action',
    example: { body: { command: ['uname', '-a'] } },
    async handle({ body, machine, services, signal }) {
      const timeoutS = body.timeout || TIMEOUT_S_DEFAULT
      if (timeoutS < 0 || timeoutS > TIMEOUT_S_MAX) {
        throw refuse(
          'flaps.argument_bad',
          `invalid_argument: invalid timeout: use 1 to ${TIMEOUT_S_MAX} seconds`,
        )
      }
      if (body.machine && body.container) {
        throw refuse('flaps.argument_bad', 'invalid_argument: machine excludes container')
      }
      const options = {
        command: commandOf(body),
        timeoutMs: Math.min(timeoutS * 1000, HELD_MS_MAX),
        stdin: body.stdin ?? '',
        container: body.container || undefined,
        inMachine: body.machine ?? false,
      }
      return ok(await services.fleet.host(machine.hostId).exec(machine.id, options, signal))
    },
  }),

  endpoint({
    id: 'Machines_list_processes',
    method: 'GET',
    path: `${base}/ps`,
    tag,
    summary: 'The processes that run in it.',
    query: Type.Object({ sort_by: optionalText(), order: optionalText() }),
    answers: { 200: Type.Array(Type.Object({})) },
    access: { on: 'machine', action: Action.read },
    limit: 'action',
    async handle({ query, machine, services, signal }) {
      const compare = compareBy(query.sort_by ?? 'pid', query.order ?? 'asc')
      const host = services.fleet.host(machine.hostId)
      return ok([...(await host.processes(machine.id, signal))].sort(compare))
    },
  }),
]

/** What is run is what the token is asked for. @throws FlapsError flaps.argument_bad */
export function commandOf(body: unknown): readonly string[] {
  const { command, cmd } = body as { command?: readonly string[]; cmd?: string }
  const words = command !== undefined && command.length > 0 ? command : shellWords(cmd ?? '')
  if (words === undefined) {
    throw refuse('flaps.argument_bad', 'invalid_argument: invalid cmd: a quote is not closed')
  }
  if (words.length > 0) return words
  throw refuse('flaps.argument_bad', 'invalid_argument: command is required')
}

const sortable: readonly string[] = ['pid', 'stime', 'rtime', 'command', 'directory', 'cpu', 'rss']

function compareBy(field: string, order: string) {
  if (!sortable.includes(field)) {
    throw refuse('flaps.argument_bad', `invalid_argument: invalid sort_by '${field}'`)
  }
  if (order !== 'asc' && order !== 'desc') {
    throw refuse('flaps.argument_bad', `invalid_argument: invalid order '${order}'`)
  }
  const sign = order === 'asc' ? 1 : -1
  return (a: Record<string, unknown>, b: Record<string, unknown>) =>
    sign * compareValues(a[field], b[field])
}

function compareValues(a: unknown, b: unknown): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b
  return String(a) < String(b) ? -1 : Number(String(a) > String(b))
}
