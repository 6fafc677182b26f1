import { Command } from 'commander'
import { agentPlaces } from './corrosion-options.ts'

/** Commands that the agent's admin socket answers. */
export function adminCommands(): Command[] {
  const cluster = new Command('cluster')
    .summary('members and their state')
    .addCommand(
      asking('members', 'members that are up, one JSON object each', () => ({
        Cluster: 'Members',
      })),
    )
    .addCommand(
      asking('membership-states', 'what is known of every other node, down ones too', () => ({
        Cluster: 'MembershipStates',
      })),
    )
    .addCommand(asking('rejoin', 'ask for members again', () => ({ Cluster: 'Rejoin' })))
    .addCommand(
      asking('set-id', 'belong to another cluster from the next start on', (id) => ({
        Cluster: { SetId: Number(id) },
      })).argument('<id>', '0 to 65535'),
    )
  const sync = new Command('sync')
    .summary('what this node has and lacks')
    .addCommand(
      asking('generate', 'heads, gaps and parts, as peers are told', () => ({ Sync: 'Generate' })),
    )
    .addCommand(
      asking('check-bookie-consistency', 'compare the bookkeeping with its tables', () => ({
        Sync: 'CheckBookieConsistency',
      })),
    )
  const actor = new Command('actor').summary('versions of one actor').addCommand(
    asking('version', 'whether a version is here', (id, version) => ({
      Actor: { Version: { actor_id: id, version: Number(version) } },
    }))
      .argument('<actor>', 'a UUID')
      .argument('<version>', 'a number'),
  )
  const subs = new Command('subs')
    .summary('live queries of the agent')
    .addCommand(asking('list', 'all live queries', () => ({ Subs: 'List' })))
  return [
    cluster,
    sync,
    actor,
    subs,
    asking('reload', 'apply the schema files again', () => 'Reload'),
  ]
}

/** A command that prints the JSON of the answer on standard output, what is said besides on standard error. */
function asking(name: string, summary: string, command: (...args: string[]) => unknown): Command {
  return new Command(name)
    .summary(summary)
    .description(summary)
    .option('--json', 'print JSON (always so)')
    .action(async (...given: unknown[]) => {
      const { askAgent } = await import('#corrosion')
      const self = given.pop() as Command
      const places = await agentPlaces(self)
      for await (const frame of askAgent(places.adminPath(), command(...self.args))) {
        if (typeof frame === 'string') continue
        if ('Json' in frame) process.stdout.write(`${JSON.stringify(frame.Json, null, 2)}\n`)
        else if ('Log' in frame) process.stderr.write(`${frame.Log.msg}\n`)
      }
    })
    .addHelpText('after', `\nExample:\n  $ godwit corrosion -c corrosion.toml ... ${name}`)
}
