import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { startDeadline } from '#base'
import { LocalError } from '../errors.ts'

const DEADLINE_MS = 30_000

/** @param isFine what it says when there is nothing to do. @throws LocalError local.network_failed */
export async function runNetworkTool(
  command: 'ip' | 'nft',
  words: readonly string[],
  input = '',
  isFine?: RegExp,
): Promise<void> {
  using deadline = startDeadline(command, DEADLINE_MS)
  const child = spawn(command, words, {
    signal: deadline.signal,
    env: { ...process.env, LC_ALL: 'C' },
  })
  const ended = Promise.withResolvers<number | null>()
  let cause: unknown
  child.on('error', (error) => {
    cause = error
    if (child.pid === undefined) ended.resolve(null)
  })
  child.on('close', ended.resolve)
  child.stdin.on('error', () => undefined) // it ended: its exit code tells
  child.stdin.end(input)
  child.stdout.resume()
  const [exitCode, said] = await Promise.all([ended.promise, text(child.stderr)])
  if (exitCode === 0 || isFine?.test(said)) return
  throw new LocalError('local.network_failed', {
    what: "the host's network could not be changed",
    values: { command: [command, ...words].join(' '), said: said.trim() },
    fix: 'run without a network: --network none',
    cause,
  })
}
