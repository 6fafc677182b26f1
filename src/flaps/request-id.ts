import { type Clock, type Random, ulidGenerator } from '#base'

/** `<ULID>-<region>`, as clients print it beside every error. */
export function requestIds(options: { clock: Clock; random: Random; region: string }) {
  const next = ulidGenerator(options)
  return () => `${next()}-${options.region}`
}
