import { parseGoDurationMs } from '#base'
import type { Problems } from '../problem.ts'

/**
 * Milliseconds of a duration in canonical form; undefined when it is absent or none, which is told.
 */
export function checkedDurationMs(
  problems: Problems,
  path: string,
  text: string | undefined,
): number | undefined {
  if (text === undefined) return undefined
  const ms = parseGoDurationMs(text)
  if (ms === undefined) problems.error(path, `is '${text}'; write a duration like 10s or 1m30s`)
  return ms
}
