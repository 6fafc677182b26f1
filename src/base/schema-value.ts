import { createRequire } from 'node:module'
import type { Value } from 'typebox/value'

type Values = typeof Value

const load = createRequire(import.meta.url)
let loaded: Values | undefined

/**
 * What checks values against schemas. Loaded at its first use: it is hundreds of files, and most processes
 * never read a configuration.
 */
export function schemaValue(): Values {
  loaded ??= (load('typebox/value') as { Value: Values }).Value
  return loaded
}
