import { Command } from 'commander'
import { type AppCommandOptions, appCommand, withApp } from './app-command.ts'
import type { Print } from './connection.ts'

/** `machine leases`: who changes a machine. */
export function leasesCommand(print: Print): Command {
  return new Command('leases')
    .summary('who changes a machine')
    .addCommand(
      appCommand('view', 'show who holds the lease of a machine', [
        'machine leases view 148ed599c14189 -a web',
      ])
        .argument('<id>')
        .action((id: string, options: AppCommandOptions) =>
          withApp(options, async ({ machines }) => {
            const lease = await machines.currentLease(id)
            if (options.json) return print(`${JSON.stringify(lease ?? null)}\n`)
            if (lease === undefined) return print(`nobody holds the lease of ${id}\n`)
            const ends = new Date(lease.expires_at * 1000).toISOString()
            print(`${lease.owner} holds the lease of ${id} until ${ends}\n`)
          }),
        ),
    )
    .addCommand(
      appCommand('clear', 'take the lease of a machine away', [
        'machine leases clear 148ed599c14189 -a web',
      ])
        .argument('<id>')
        .action((id: string, options: AppCommandOptions) =>
          withApp(options, async ({ machines }) => {
            const lease = await machines.currentLease(id)
            if (lease !== undefined) await machines.release(id, lease.nonce)
            print(
              options.json
                ? `${JSON.stringify({ id, cleared: lease !== undefined })}\n`
                : `${id} is free\n`,
            )
          }),
        ),
    )
}
