import { refuse } from '../errors.ts'

/** Of `ip:port` or `[ip]:port`. @throws FlydError flyd.argument_bad */
export function parseListen(text: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text)
  const host = match?.[1] ?? match?.[2]
  if (host !== undefined) return { host, port: Number(match?.[3]) }
  throw refuse('flyd.argument_bad', `invalid_argument: not an address to listen on: ${text}`)
}
