import { AppConfigSchema } from './app-config.ts'

interface Described {
  readonly type?: string
  readonly description?: string
  readonly properties?: Readonly<Record<string, Described>>
  readonly items?: Described
  readonly patternProperties?: Readonly<Record<string, Described>>
  readonly anyOf?: readonly (Described & { readonly const?: unknown })[]
}

/** Every section and key as Markdown, from the schema itself. */
export function configReference(): string {
  return sections('', AppConfigSchema as Described).join('\n')
}

function sections(name: string, schema: Described): string[] {
  const entries = Object.entries(schema.properties ?? {})
  const keys = entries.filter(([, value]) => tableOf(value) === undefined)
  const tables = entries.flatMap(([key, value]) => {
    const table = tableOf(value)
    const path = name === '' ? key : `${name}.${key}`
    return table === undefined ? [] : sections(table.name(path), table.schema)
  })
  const title = name === '' ? '### Top level' : `### \`${name}\``
  return [
    title,
    '',
    ...(schema.description === undefined || name === ''
      ? []
      : [`${sentence(schema.description)}`, '']),
    ...(keys.length === 0 ? [] : ['| key | | |', '|---|---|---|', ...keys.map(row), '']),
    ...tables,
  ]
}

const sentence = (text: string) => `${text[0]?.toUpperCase()}${text.slice(1)}.`

const row = ([key, value]: [string, Described]): string =>
  `| \`${key}\` | ${kindOf(value)} | ${value.description ?? value.items?.description ?? ''} |`

/** The table that a key opens, and how its header is written. */
function tableOf(value: Described) {
  if (value.properties !== undefined) return { schema: value, name: (path: string) => path }
  const item = value.items
  if (item?.properties !== undefined) return { schema: item, name: (path: string) => `${path}[]` }
  const [named] = Object.values(value.patternProperties ?? {})
  return named?.properties === undefined
    ? undefined
    : { schema: named, name: (path: string) => `${path}.<name>` }
}

function kindOf({ type, items, patternProperties, anyOf }: Described): string {
  if (anyOf !== undefined) {
    const constants = anyOf.filter((one) => one.const !== undefined)
    return constants.length > 0
      ? constants.map((one) => `\`${String(one.const)}\``).join(' ')
      : anyOf.map(kindOf).join(' or ')
  }
  if (items !== undefined) return `list of ${kindOf(items)}`
  if (patternProperties !== undefined) return 'table of text'
  return { string: 'text', boolean: 'true or false' }[type ?? ''] ?? type ?? 'any'
}
