import { Command } from 'commander'
import { adminCommands } from './corrosion-admin.ts'
import { databaseCommands } from './corrosion-database.ts'
import { sqlCommands } from './corrosion-sql.ts'
import { tlsCommand } from './corrosion-tls.ts'

const CONFIG_FILE = '/etc/godwit/corrosion.toml'

/** `godwit corrosion`: run an agent of the replicated database, look into it, and command it. */
export function corrosionCommand(): Command {
  const command = new Command('corrosion')
    .summary('the replicated database of the cluster')
    .description(
      'Runs an agent of the replicated database, reads and writes through it, and shows what it knows ' +
        'of others. All commands read the same configuration file.',
    )
    .option('-c, --config <file>', 'the configuration file', CONFIG_FILE)
    .option('--api-addr <ip:port>', 'the API of the agent, instead of the one in the file')
    .option('--admin-path <file>', 'the admin socket of the agent, instead of the one in the file')
    .option('--db-path <file>', 'the database, instead of the one in the file')
    .addCommand(agentCommand())
    .addHelpText(
      'after',
      `
Examples:
  $ godwit corrosion tls ca generate && godwit corrosion tls server generate 10.0.0.1
  $ godwit corrosion -c corrosion.toml agent
  $ godwit corrosion query 'SELECT id, state FROM machines' --columns
  $ godwit corrosion cluster members`,
    )
  for (const child of [...sqlCommands(), ...databaseCommands(), ...adminCommands(), tlsCommand()]) {
    command.addCommand(child)
  }
  return command
}

function agentCommand(): Command {
  return new Command('agent')
    .summary('run an agent until it is told to stop')
    .description('Runs an agent in the foreground. SIGTERM and SIGINT end it with a goodbye.')
    .action(async (_options: unknown, command: Command) => {
      const { Agent, loadAgentConfig } = await import('#corrosion')
      const { config } = command.optsWithGlobals<{ config: string }>()
      let end: (error?: unknown) => void = () => undefined
      const ended = new Promise<unknown>((resolve) => {
        end = resolve
      })
      process.once('SIGTERM', () => end())
      process.once('SIGINT', () => end())
      const agent = await Agent.start(loadAgentConfig(config), (error) => end(error))
      const error = await ended
      if (error !== undefined) agent.log.fatal({ err: error }, 'the database cannot be written')
      await agent.stop()
      if (error !== undefined) process.exitCode = 1
    })
    .addHelpText('after', `\nExample:\n  $ godwit corrosion -c corrosion.toml agent`)
}
