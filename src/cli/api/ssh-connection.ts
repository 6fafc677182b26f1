import { type Command, Option } from 'commander'
import { type AppCommandOptions, type AppSession, withApp } from './app-command.ts'
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
    const machine = await chooseMachine(session, options)
    return await withSshTo(session, machine, options.user, (client) => work(client, machine))
  })
}

/** The same to this machine. */
export async function withSshTo<T>(
  { client: api, app }: AppSession,
  { id }: { readonly id: string },
  user: string,
  work: (client: import('#ssh').SshClient) => Promise<T>,
): Promise<T> {
  const { Ed25519Key, SshClient } = await import('#ssh')
  const key = Ed25519Key.generate()
  const principals = [...new Set([user, 'fly'])]
  const asked = { public_key: key.publicLine(), principals }
  const { certificate } = await api.issueSshCertificate({ app }, asked)
  const stream = await api.connect(app, id, SSH_PORT)
  using client = await SshClient.connect(stream, { user, key, certificate })
  return await work(client)
}
