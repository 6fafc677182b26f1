import {
  buildSchema,
  defaultFieldResolver,
  type GraphQLFieldResolver,
  GraphQLObjectType,
  type GraphQLSchema,
} from 'graphql'
import { type App, answerOfError } from '#flaps'
import { subjects } from '../subjects/all.ts'
import type { WebCall } from '../web-call.ts'
import { addScalars, scalarsSdl } from './scalars.ts'
import type { Resolver } from './subject.ts'

const rootsSdl = 'type Query type Mutation'

/** The whole schema, out of its subjects. Every field that is resolved counts against the request's bound. */
export function makeSchema(): GraphQLSchema {
  const schema = buildSchema([rootsSdl, scalarsSdl, ...subjects.map(({ sdl }) => sdl)].join('\n'))
  addScalars(schema)
  for (const { resolvers } of subjects) {
    for (const [typeName, fields] of Object.entries(resolvers)) {
      for (const [name, resolver] of Object.entries(fields)) put(schema, typeName, name, resolver)
    }
  }
  for (const type of Object.values(schema.getTypeMap())) {
    if (!(type instanceof GraphQLObjectType) || type.name.startsWith('__')) continue
    const isRoot = type.name === 'Query' || type.name === 'Mutation'
    for (const field of Object.values(type.getFields())) {
      if (isRoot && field.resolve === undefined) throw new Error(`nobody answers ${field.name}`)
      const resolve = field.resolve ?? defaultFieldResolver
      field.resolve = counted(guarded(type.name, field.name, resolve))
    }
  }
  return schema
}

function put(
  schema: GraphQLSchema,
  typeName: string,
  name: string,
  resolver: Resolver<never, never>,
): void {
  const type = schema.getType(typeName)
  if (!(type instanceof GraphQLObjectType)) throw new Error(`the schema has no type ${typeName}`)
  const field = type.getFields()[name]
  if (field === undefined) throw new Error(`${typeName} has no field ${name}`)
  field.resolve = (source, args, call) =>
    (resolver as Resolver<unknown, unknown>)(source, args, call)
}

const counted =
  (resolve: GraphQLFieldResolver<unknown, WebCall>): GraphQLFieldResolver<unknown, WebCall> =>
  (source, args, call, info) => {
    // Nobody waits any more; thousands of errors would take seconds to make.
    if (call.isOver) return new Promise(() => undefined)
    call.spend(1)
    return resolve(source, args, call, info)
  }

/** What of an app shows who may see more than it: its names. */
const APP_NAMES: ReadonlySet<string> = new Set(['id', 'name', 'organization'])

function guarded(
  type: string,
  field: string,
  resolve: GraphQLFieldResolver<unknown, WebCall>,
): GraphQLFieldResolver<unknown, WebCall> {
  if (type === 'Mutation') return recorded(field, resolve)
  if (type !== 'App' || APP_NAMES.has(field)) return resolve
  return (source, args, call, info) => {
    call.requireRead(source as App) // however one came here
    return resolve(source, args, call, info)
  }
}

/** With a line in the audit log, whatever comes of it. */
const recorded =
  (
    name: string,
    resolve: GraphQLFieldResolver<unknown, WebCall>,
  ): GraphQLFieldResolver<unknown, WebCall> =>
  async (source, args, call, info) => {
    let status = 500
    try {
      const result: unknown = await resolve(source, args, call, info)
      status = 200
      return result
    } catch (error) {
      status = answerOfError(error)?.status ?? status
      throw error
    } finally {
      call.forget() // what was looked up before may be different now
      call.record(`GraphQL_${name}`, status)
    }
  }
