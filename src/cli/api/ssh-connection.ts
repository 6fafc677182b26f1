import { type Command, Option } from 'commander'
import { type AppCommandOptions, withApp } from './app-command.ts'
import { chooseMachine, type MachineChoice, withMachineChoice } from './choose-machine.ts'

export const SSH_PORT = 22

export interface SshOptions extends AppCommandOptions, MachineChoice {
  readonly user: string
}

/** Adds the options of all that goes through ssh. */
export const withSsh = (command: Command): Command =>
  withMachineChoice(command).addOption(
    new Option('-u, --user <name>', 'who to be in the machine').default('root'),
  )

/** Connects to the SSH server of the chosen machine, with a key and a certificate for this once. */
export async function withSshClient<T>(
  options: SshOptions,
  work: (client: import('#ssh').SshClient, machine: { readonly id: string }) => Promise<T>,
): Promise<T> {
  return await withApp(options, async (session) => {
    const { Ed25519Key, SshClient } = await import('#ssh')
    const key = Ed25519Key.generate()
    const principals = [...new Set([options.user, 'fly'])]
    const [machine, { certificate }] = await Promise.all([
      chooseMachine(session, options),
      session.client.issueSshCertificate(
        { app: session.app },
        { public_key: key.publicLine(), principals },
      ),
    ])
    const stream = await session.client.connect(session.app, machine.id, SSH_PORT)
    using client = await SshClient.connect(stream, { user: options.user, key, certificate })
    return await work(client, machine)
  })
}
