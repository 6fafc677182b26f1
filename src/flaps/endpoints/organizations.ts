import { Type } from 'typebox'
import { type MachineJson, timeText } from '#flyd'
import { Action } from '#macaroon'
import { ok } from '../answer.ts'
import type { Call } from '../call.ts'
import { endpoint } from '../endpoint.ts'
import { isGone } from '../machine-names.ts'
import { parseCursor, parseTime, printCursor } from '../page-cursor.ts'
import type { MachineRow, Page } from '../rows.ts'
import {
  machineAnswer,
  optionalFlag,
  optionalText,
  optionalWhole,
  volumeAnswer,
} from './schemas.ts'

const tag = 'Organizations'
const LIMIT_MAX = 1000

const pageQuery = {
  include_deleted: optionalFlag(),
  region: optionalText(),
  state: Type.Optional(Type.Array(Type.String())),
  summary: optionalFlag(),
  updated_after: optionalText(),
  cursor: optionalText(),
  limit: optionalWhole(),
}

interface PageQuery {
  readonly updated_after?: string
  readonly cursor?: string
  readonly limit?: number
}

export const organizationEndpoints = [
  endpoint({
    id: 'Machines_org_list',
    method: 'GET',
    path: '/v1/orgs/:org/machines',
    tag,
    summary: 'Machines of all apps, by the time they changed, a page at a time.',
    query: Type.Object(pageQuery),
    answers: {
      200: Type.Object({
        machines: Type.Array(Type.Partial(machineAnswer)),
        next_cursor: Type.Optional(Type.String()),
        error_regions: Type.Array(Type.String()),
      }),
    },
    access: { on: 'org', action: Action.read, slugFrom: 'path' },
    limit: 'none',
    async handle(call) {
      const { query, organization, services } = call
      const page = pageOf(query)
      const rows = services.rows.machinesSince(organization.id, page)
      const names = await appNames(call)
      const shown = rows.filter(
        ({ json }) =>
          (query.include_deleted === true || !isGone(json.state)) &&
          (query.region === undefined || query.region === json.region) &&
          (query.state === undefined || query.state.includes(json.state)),
      )
      return ok({
        machines: shown.map((row) => orgMachine(row, names.get(row.appId) ?? '')),
        ...endOf(rows, page, 'last_machine_id'),
        error_regions: [],
      })
    },
  }),

  endpoint({
    id: 'Volumes_org_list',
    method: 'GET',
    path: '/v1/orgs/:org/volumes',
    tag,
    summary: 'Volumes of all apps, by the time they changed, a page at a time.',
    query: Type.Object(pageQuery),
    answers: {
      200: Type.Object({
        volumes: Type.Array(volumeAnswer),
        next_cursor: Type.Optional(Type.String()),
      }),
    },
    access: { on: 'org', action: Action.read, slugFrom: 'path' },
    limit: 'none',
    async handle(call) {
      const { query, services } = call
      const page = pageOf(query)
      const names = await appNames(call)
      const rows = services.rows.volumesSince([...names.keys()], page)
      const shown = rows.filter(
        ({ json }) =>
          (query.include_deleted === true || json.state !== 'destroyed') &&
          (query.region === undefined || query.region === json.region) &&
          (query.state === undefined || query.state.includes(json.state)),
      )
      return ok({
        volumes: shown.map(({ json, appId, updatedAtMs }) => ({
          ...json,
          app_name: names.get(appId),
          updated_at: timeText(updatedAtMs),
        })),
        ...endOf(rows, page, 'last_volume_id'),
      })
    },
  }),
]

function pageOf({ cursor, updated_after: after, limit = LIMIT_MAX }: PageQuery): Page {
  const size = Math.min(Math.max(limit, 1), LIMIT_MAX)
  if (cursor !== undefined) return { ...parseCursor(cursor), limit: size }
  const afterMs = after === undefined ? -1 : parseTime(after, 'updated_after')
  return { afterMs, afterId: '', limit: size }
}

/** A page that is not full is the last. What changes meanwhile comes after it again. */
function endOf(
  rows: readonly { id: string; updatedAtMs: number }[],
  { limit }: Page,
  lastIdName: string,
): object {
  const last = rows.at(-1)
  if (last === undefined) return {}
  const { id, updatedAtMs } = last
  return {
    ...(rows.length < limit ? {} : { next_cursor: printCursor(updatedAtMs, id) }),
    [lastIdName]: id,
    last_updated_at: timeText(updatedAtMs),
  }
}

async function appNames(call: Call): Promise<ReadonlyMap<string, string>> {
  const { services, organization, signal } = call
  const apps = await services.directory.apps(organization, { signal })
  return new Map(apps.map(({ id, name }) => [id, name]))
}

function orgMachine({ json }: MachineRow, appName: string): object {
  const { config, incomplete_config: incomplete } = json
  const { guest, image, metadata } = config ?? incomplete ?? {}
  const { id, name, region, state, version, private_ip, created_at, updated_at }: MachineJson = json
  return {
    id,
    name,
    app_name: appName,
    region,
    state,
    version,
    private_ip,
    created_at,
    updated_at,
    config: { guest, image, metadata },
  }
}
