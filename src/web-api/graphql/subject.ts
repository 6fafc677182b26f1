import type { WebCall } from '../web-call.ts'

/** What a field is: of its object, from its arguments, for who asks. */
export type Resolver<Source, Args> = (source: Source, args: Args, call: WebCall) => unknown

/** Some types of the schema, and what their fields are where an object has none of that name. */
export interface Subject {
  readonly sdl: string
  readonly resolvers: Readonly<Record<string, Readonly<Record<string, Resolver<never, never>>>>>
}

/** As connections are answered: all at once, there are no cursors but those of apps. */
export const nodes = <T>(list: readonly T[]) => ({ nodes: list })

/** The connections of these types. */
export const connections = (...types: readonly string[]): string =>
  types.map((type) => `type ${type}Connection { nodes: [${type}!]! }`).join('\n')
