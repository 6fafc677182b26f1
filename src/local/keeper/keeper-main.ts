/** The process that keeps one machine: ROOT ID. Started by start-keeper.ts, which says when to begin. */
import { text } from 'node:stream/consumers'
import { parseMachineId } from '#base'
import { LocalHost } from '../local-host.ts'
import { Keeper } from './keeper.ts'

const [root = '', id = ''] = process.argv.slice(2)
for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined)
if ((await text(process.stdin)) === 'go\n') {
  const host = await LocalHost.open(root)
  await new Keeper(host, parseMachineId(id)).run()
}
