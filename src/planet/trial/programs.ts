import { fileURLToPath } from 'node:url'

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url))

/** Command line of a web server that tells which node it runs in. */
export const whoamiServer = (port: number): readonly [string, ...string[]] => [
  process.execPath,
  here('whoami-server.ts'),
  String(port),
]

export interface RequestLoopOptions {
  readonly intervalMs: number
  readonly deadlineMs: number
  readonly headers?: Readonly<Record<string, string>>
}

/** Command line of a client that asks `urls` at an interval; prints RequestRecords. */
export const requestLoop = (
  urls: readonly string[],
  { intervalMs, deadlineMs, headers = {} }: RequestLoopOptions,
): readonly [string, ...string[]] => [
  process.execPath,
  here('request-loop.ts'),
  String(intervalMs),
  String(deadlineMs),
  JSON.stringify(headers),
  ...urls,
]
