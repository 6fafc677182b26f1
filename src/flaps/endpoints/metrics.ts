import { Type } from 'typebox'
import { Action } from '#macaroon'
import { ok } from '../answer.ts'
import type { Call } from '../call.ts'
import { endpoint } from '../endpoint.ts'
import { gatherMetrics, type MetricsGathered } from '../organization-metrics.ts'
import { optionalText, text } from './schemas.ts'

const tag = 'Metrics'
const access = { on: 'org', action: Action.read, slugFrom: 'path' } as const
const EVERYTHING = '{__name__=~".+"}'
const MATCH = 'match[]'

const query = Type.Object({ [MATCH]: optionalText() })
const labels = Type.Record(Type.String(), Type.String())
const found = <T extends Type.TSchema>(data: T) =>
  Type.Object({ status: text(), data, warnings: Type.Optional(Type.Array(text())) })

/** What Prometheus' own API answers, of this moment: nothing is stored, so times in a query change nothing. */
export const metricEndpoints = [
  endpoint({
    id: 'Metrics_federate',
    method: 'GET',
    path: '/prometheus/:org/federate',
    tag,
    summary:
      "All machines of the organisation in figures, in Prometheus' text format, as they are now: those series that one of `match[]`, which may be repeated, selects.",
    query,
    answers: { 200: text() },
    example: { query: { [MATCH]: EVERYTHING } },
    access,
    limit: 'none',
    async handle(call) {
      const { text: body, missing } = await gathered(call, selectorsOf(call))
      const headers = { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }
      const told = missing.length === 0 ? {} : { 'godwit-missing-hosts': missing.join(',') }
      return { status: 200, body, headers: { ...headers, ...told } }
    },
  }),

  endpoint({
    id: 'Metrics_series',
    method: 'GET',
    path: '/prometheus/:org/api/v1/series',
    tag,
    summary: 'Names and labels of the series that one of `match[]` selects.',
    query,
    answers: { 200: found(Type.Array(labels)) },
    example: { query: { [MATCH]: EVERYTHING } },
    access,
    limit: 'none',
    async handle(call) {
      const all = await gathered(call, selectorsOf(call))
      const data = all.families.flatMap(({ series }) =>
        series.map((one) => ({ __name__: one.name, ...Object.fromEntries(one.labels) })),
      )
      return answerOf(all, data)
    },
  }),

  endpoint({
    id: 'Metrics_labels',
    method: 'GET',
    path: '/prometheus/:org/api/v1/labels',
    tag,
    summary: 'Names of labels; without `match[]` of all series.',
    query,
    answers: { 200: found(Type.Array(text())) },
    access,
    limit: 'none',
    async handle(call) {
      const all = await gathered(call, selectorsOf(call, [EVERYTHING]))
      const series = all.families.flatMap((family) => family.series)
      const names = new Set(series.flatMap((one) => ['__name__', ...one.labels.keys()]))
      return answerOf(all, [...names].sort())
    },
  }),

  endpoint({
    id: 'Metrics_label_values',
    method: 'GET',
    path: '/prometheus/:org/api/v1/label/:label/values',
    tag,
    summary: 'Values of one label; without `match[]` of all series. `__name__`: names of metrics.',
    query,
    answers: { 200: found(Type.Array(text())) },
    access,
    limit: 'none',
    async handle(call) {
      const all = await gathered(call, selectorsOf(call, [EVERYTHING]))
      const label = call.param('label')
      const values = all.families.flatMap(({ series }) =>
        series.flatMap((one) => (label === '__name__' ? one.name : (one.labels.get(label) ?? []))),
      )
      return answerOf(all, [...new Set(values)].sort())
    },
  }),
]

/** A comma in a selector parts matchers, not selectors: they are read as they came. */
function selectorsOf({ rawQuery }: Call<unknown>, absent: readonly string[] = []): string[] {
  const given = rawQuery[MATCH] ?? absent
  return typeof given === 'string' ? [given] : [...given]
}

const gathered = (call: Call<unknown>, selectors: readonly string[]) => {
  const { services, organization, signal, log } = call
  return gatherMetrics(services, { organization, selectors, signal, log })
}

function answerOf({ missing }: MetricsGathered, data: unknown) {
  const warnings = missing.map((host) => `host ${host} did not answer: its machines are missing`)
  return ok({ status: 'success', data, ...(warnings.length === 0 ? {} : { warnings }) })
}
