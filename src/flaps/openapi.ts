import { type TSchema, Type } from 'typebox'
import { printActions } from '#macaroon'
import type { AccessRule } from './access-rule.ts'
import type { Endpoint } from './endpoint.ts'

const errorSchema = Type.Object(
  {
    error: Type.String({ description: '`<class>: <text>`' }),
    status: Type.Optional(
      Type.Union(
        ['unknown', 'insufficient_capacity', 'volume_placement_capacity', 'name_taken'].map((one) =>
          Type.Literal(one),
        ),
      ),
    ),
  },
  { description: 'What went wrong.' },
)

/** The API's own description, OpenAPI 3.1, whose schemas are JSON Schema as ours are. */
export function openApiDocument(endpoints: readonly Endpoint[]): object {
  const paths: Record<string, Record<string, unknown>> = {}
  for (const endpoint of endpoints) {
    const path = endpoint.path.replaceAll(/:(\w+)/g, '{$1}')
    const operations = paths[path] ?? {}
    operations[endpoint.method.toLowerCase()] = operationOf(endpoint)
    paths[path] = operations
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Machines API',
      version: '1',
      description: 'Apps, machines and volumes. docs/machines-api.md has examples for curl.',
    },
    servers: [{ url: '/' }],
    components: {
      securitySchemes: {
        token: {
          type: 'http',
          scheme: 'bearer',
          description: 'A token of this platform; `FlyV1 <tokens>` is taken, too.',
        },
      },
      schemas: { Error: errorSchema },
    },
    paths,
  }
}

function operationOf(endpoint: Endpoint): object {
  const { id, tag, summary, body, query, access, example } = endpoint
  return {
    operationId: id,
    tags: [tag],
    summary,
    description: describeAccess(access),
    security: access.on === 'nothing' ? [] : [{ token: [] }],
    parameters: [...pathParameters(endpoint.path), ...queryParameters(query)],
    ...(body === undefined
      ? {}
      : {
          requestBody: {
            content: { 'application/json': { schema: body, ...exampleOf(example?.body) } },
          },
        }),
    responses: {
      ...Object.fromEntries(
        Object.entries(endpoint.answers).map(([status, schema]) => [status, answerOf(schema)]),
      ),
      default: {
        description: 'refused or failed',
        content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
      },
    },
  }
}

const exampleOf = (example: unknown) => (example === undefined ? {} : { example })

const answerOf = (schema: TSchema | null) =>
  schema === null
    ? { description: 'done' }
    : { description: 'done', content: { 'application/json': { schema } } }

const pathParameters = (path: string) =>
  [...path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }))

function queryParameters(query: Endpoint['query']): object[] {
  if (query === undefined) return []
  const required: readonly string[] = query.required ?? []
  return Object.entries(query.properties).map(([name, schema]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    schema,
  }))
}

/** What a token must allow, in the words of docs/tokens.md. */
export function describeAccess(rule: AccessRule): string {
  if (rule.on === 'nothing') return `Needs no token: ${rule.why}.`
  if (rule.on === 'token') return 'Needs any token that is good now.'
  if (rule.on === 'self') return 'Needs to come from a machine, by its socket /.fly/api.'
  const action = printActions(rule.action)
  const feature = 'feature' in rule && rule.feature !== undefined ? ` feature ${rule.feature}` : ''
  const command = rule.on === 'machine' && rule.command !== undefined ? ' and the command' : ''
  const things = {
    org: 'the organisation',
    operators: "the operators' organisation",
    newApp: 'any app of the organisation',
    app: 'the app',
    newMachine: 'any machine of the app',
    machine: 'the machine',
    newVolume: 'any volume of the app',
    volume: 'the volume',
  } as const
  const mutation =
    'mutation' in rule && rule.mutation !== undefined
      ? ` Tokens for single mutations need \`${rule.mutation}\`.`
      : ''
  const others = rule.on === 'org' && rule.orOperators === true ? ", or on the operators'" : ''
  return `Needs \`${action}\` on ${things[rule.on]}${others}${feature}${command}.${mutation}`
}
