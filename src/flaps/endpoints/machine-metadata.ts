import { Type } from 'typebox'
import { Action } from '#macaroon'
import { noContent, ok } from '../answer.ts'
import type { Call } from '../call.ts'
import { endpoint } from '../endpoint.ts'
import { refuse } from '../errors.ts'
import { fromSource, readMachine } from '../machine-reads.ts'
import { noteWrite } from '../machine-write.ts'
import { optionalText } from './schemas.ts'

const path = '/v1/apps/:app/machines/:machine/metadata'
const tag = 'Metadata'
const reading = { on: 'machine', action: Action.read, feature: 'metadata' } as const
const writing = { on: 'machine', action: Action.write, feature: 'metadata' } as const

export const machineMetadataEndpoints = [
  endpoint({
    id: 'Machines_show_metadata',
    method: 'GET',
    path,
    tag,
    summary: 'All of it.',
    answers: { 200: Type.Record(Type.String(), Type.String()) },
    access: reading,
    limit: 'action',
    async handle(call) {
      const { source, metadata } = await metadataOf(call)
      return fromSource(source, metadata)
    },
  }),

  ...(['PUT', 'PATCH'] as const).map((method) =>
    endpoint({
      id: method === 'PUT' ? 'Machines_replace_metadata' : 'Machines_merge_metadata',
      method,
      path,
      tag,
      summary: 'Sets keys; null and "" remove them, others stay. Nothing restarts.',
      body: Type.Object({
        metadata: Type.Record(Type.String(), Type.Union([Type.String(), Type.Null()])),
        machine_version: Type.Optional(Type.Union([Type.String(), Type.Null()])),
        updated_at: Type.Optional(Type.Union([Type.String(), Type.Null()])),
      }),
      nullIs: 'value',
      answers: { 204: null },
      access: writing,
      limit: 'action',
      example: { body: { metadata: { role: 'primary', old: null } } },
      async handle(call) {
        const { body } = call
        await change(call, emptyIsNull(body.metadata), body.machine_version || undefined)
        return noContent
      },
    }),
  ),

  endpoint({
    id: 'Machines_show_metadata_key',
    method: 'GET',
    path: `${path}/:key`,
    tag,
    summary: 'One value.',
    answers: { 200: Type.Object({ value: Type.String() }) },
    access: reading,
    limit: 'action',
    async handle(call) {
      const key = call.param('key')
      const { metadata } = await metadataOf(call)
      if (Object.hasOwn(metadata, key)) return ok({ value: metadata[key] })
      throw refuse('flaps.not_found', `not_found: metadata key ${key} not found`)
    },
  }),

  endpoint({
    id: 'Machines_update_metadata',
    method: 'POST',
    path: `${path}/:key`,
    tag,
    summary: 'Sets one value.',
    body: Type.Object({ value: Type.String(), updated_at: optionalText() }),
    answers: { 204: null },
    access: writing,
    limit: 'action',
    example: { body: { value: 'primary' } },
    async handle(call) {
      await change(call, emptyIsNull({ [call.param('key')]: call.body.value }), undefined)
      return noContent
    },
  }),

  endpoint({
    id: 'Machines_delete_metadata',
    method: 'DELETE',
    path: `${path}/:key`,
    tag,
    summary: 'Removes one key.',
    answers: { 204: null },
    access: writing,
    limit: 'action',
    async handle(call) {
      await change(call, { [call.param('key')]: null }, undefined)
      return noContent
    },
  }),
]

async function metadataOf(call: Call) {
  const { machine, source } = await readMachine(call, { consistent: false })
  const { metadata = {} } = machine.config ?? machine.incomplete_config ?? {}
  return { metadata, source }
}

async function change(
  call: Call,
  changes: Readonly<Record<string, string | null>>,
  version: string | undefined,
): Promise<void> {
  const { machine, services, signal } = call
  const host = services.fleet.host(machine.hostId)
  await host.changeMetadata(machine.id, changes, { version }, signal)
  noteWrite(call)
}

const emptyIsNull = (values: Readonly<Record<string, string | null>>) =>
  Object.fromEntries(Object.entries(values).map(([key, value]) => [key, value || null]))
