import { Command } from 'commander'
import { agentPlaces } from './corrosion-options.ts'

/** Commands on the database file. */
export function databaseCommands(): Command[] {
  return [backupCommand(), restoreCommand()]
}

function backupCommand(): Command {
  return new Command('backup')
    .summary('write a copy of the database')
    .description(
      'Writes a whole copy of the database to a file that does not exist yet. The agent may run.',
    )
    .argument('<file>')
    .option('--json', 'print JSON')
    .action(async (file: string, { json }: { json?: true }, command: Command) => {
      const { backup } = await import('#corrosion')
      const places = await agentPlaces(command)
      backup(places.dbPath(), file)
      process.stdout.write(json ? `${JSON.stringify({ file })}\n` : `written: ${file}\n`)
    })
    .addHelpText('after', `\nExample:\n  $ godwit corrosion backup /var/backups/corrosion.db`)
}

function restoreCommand(): Command {
  return new Command('restore')
    .summary('put a backup in the place of the database')
    .description(
      'The agent must not run. The node goes on under an id of its own, so that a backup can be put on any number of nodes.',
    )
    .argument('<file>', 'a backup')
    .option('--actor-id <uuid>', 'the id of the node, instead of a new one')
    .option('--json', 'print JSON')
    .action(async (file: string, options: { json?: true; actorId?: string }, command: Command) => {
      const corrosion = await import('#corrosion')
      const places = await agentPlaces(command)
      await corrosion.refuseWhileRunning(places.adminPath())
      const actorId = options.actorId
      const actor = corrosion.restore(
        file,
        places.dbPath(),
        actorId === undefined ? undefined : corrosion.parseActorId(actorId),
      )
      const shown = corrosion.dashed(actor)
      process.stdout.write(
        options.json
          ? `${JSON.stringify({ actor_id: shown })}\n`
          : `restored; this node is ${shown}\n`,
      )
    })
    .addHelpText('after', `\nExample:\n  $ godwit corrosion restore /var/backups/corrosion.db`)
}
